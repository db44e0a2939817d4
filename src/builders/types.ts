import type { RealiseResult, RealiseStatus, ResolvedDerivation } from '../nix/index.ts';

/** What one attempt is asked to do. */
export interface AttemptRequest {
  /** Row in `attempts`; 0 where there is no database. */
  readonly attemptId: number;
  readonly drvPath: string;
  /** Name of each output -> its path; null where it is known only afterwards. */
  readonly outputs: Readonly<Record<string, string | null>>;
  /** What to build. Absent: it is in the store, with those it depends on. */
  readonly derivation?: ResolvedDerivation;
  /** Its outputs are there: it is built once more, and `built` means that the same came out. */
  readonly check?: boolean;
  readonly signal: AbortSignal;
  /** 0 means no limit. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  readonly onLogLine: (line: Buffer) => void;
  readonly onPhase?: (phase: string) => void;
}

/** How an attempt ended. `builder-lost` is, like `infrastructure` and `out-of-disk`, the machine's fault. */
export type AttemptStatus = RealiseStatus | 'builder-lost';

/** How an attempt ended: Nix's own result plus what only the builder knows. */
export interface AttemptResult extends Omit<RealiseResult, 'status'> {
  readonly status: AttemptStatus;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  /** Called once the result is recorded, or is for nobody: until then a far machine must keep it. */
  readonly onRecorded?: () => void;
}

/** A machine that can build. */
export interface Builder {
  /** Row in `builders`; 0 where there is no database. */
  readonly id: number;
  readonly name: string;
  readonly kind: 'local' | 'ssh' | 'agent';
  /** Systems it builds for, for example `x86_64-linux`; `builtin` derivations run anywhere. */
  readonly systems: readonly string[];
  readonly features: readonly string[];
  /** It takes only builds that require all of these. */
  readonly mandatoryFeatures: readonly string[];
  /** Trust domains whose builds it may see. */
  readonly trustDomains: readonly string[];
  /** Builds at the same time. */
  readonly slots: number;
  /** Compared with the others: 2 is twice as fast. */
  readonly speed: number;
  /** Whether it takes new builds now: not while it drains, is unreachable or overloaded. */
  readonly accepting: boolean;
  /** Asks the machine's store something cheap; rejects, saying why, when it cannot build now. */
  probe(): Promise<void>;
  /** Runs one attempt. Never rejects: a lost machine is a result with status `infrastructure`. */
  attempt(request: AttemptRequest): Promise<AttemptResult>;
  close(): Promise<void>;
}
