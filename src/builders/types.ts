import type { RealiseResult, RealiseStatus } from '../nix/index.ts';

/** What one attempt is asked to do. */
export interface AttemptRequest {
  readonly drvPath: string;
  readonly signal: AbortSignal;
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  readonly onLogLine: (line: Buffer) => void;
  readonly onPhase?: (phase: string) => void;
}

/** How an attempt ended: Nix's own result plus what only the builder knows. */
export interface AttemptResult extends RealiseResult {
  readonly status: RealiseStatus;
  readonly startedAt: Date;
  readonly finishedAt: Date;
}

/** A machine that can build. */
export interface Builder {
  readonly name: string;
  readonly kind: 'local' | 'ssh' | 'agent';
  /** Systems it builds for, for example `x86_64-linux`; `builtin` derivations run anywhere. */
  readonly systems: readonly string[];
  readonly features: readonly string[];
  /** Builds at the same time. */
  readonly slots: number;
  /** Runs one attempt. Never rejects: a lost machine is a result with status `infrastructure`. */
  attempt(request: AttemptRequest): Promise<AttemptResult>;
  close(): Promise<void>;
}
