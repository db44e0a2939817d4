import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AssignmentsResponseSchema } from '../../agent-protocol/index.ts';
import type { ResolvedDerivation } from '../../nix/index.ts';

/** What an agent says of itself when it registers. Claims: what the registration allows holds. */
export interface AgentClaims {
  /** Of this start of the agent; its builds end with it. */
  readonly instanceId: string;
  readonly machineId: string;
  readonly version: string;
  readonly systems: readonly string[];
  readonly features: readonly string[];
  readonly slots: number;
}

/** How busy an agent's machine is, as far as it tells. The names are those of the API. */
export interface AgentLoad {
  readonly load1?: number | undefined;
  readonly load5?: number | undefined;
  readonly load15?: number | undefined;
  readonly cores?: number | undefined;
  readonly memoryTotalBytes?: number | undefined;
  readonly memoryAvailableBytes?: number | undefined;
  readonly storeFreeBytes?: number | undefined;
  /** Per cent of the last ten seconds in which something waited, from Linux' pressure stall information. */
  readonly cpuPressure?: number | undefined;
  readonly memoryPressure?: number | undefined;
  readonly ioPressure?: number | undefined;
}

export type AgentMessage = MessageInitShape<typeof AssignmentsResponseSchema>;

/** What the server's store and cache do for agents. */
export interface AgentStore {
  /** The derivation with its inputs resolved to paths, and those paths, which may be known already. */
  prepare(drvPath: string, known?: ResolvedDerivation): Promise<PreparedDerivation>;
  /**
   * Makes outputs that an agent has uploaded valid in the server's store, their hashes recomputed.
   * Rejects with a `LyingUploadError` when what was uploaded is not what it says.
   */
  collect(paths: readonly string[]): Promise<void>;
}

export interface PreparedDerivation {
  /** ATerm text. */
  readonly derivation: Uint8Array;
  readonly inputs: readonly string[];
}

/** An agent uploaded something else than it said: it cannot be trusted with anything. */
export class LyingUploadError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LyingUploadError';
  }
}
