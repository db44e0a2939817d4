/** What an agent needs of the machine it runs on, to turn assignments into outputs. */
import type { RealiseResult } from '../nix/index.ts';

/** One derivation to build, its inputs resolved to store paths. */
export interface WorkOrder {
  readonly drvPath: string;
  /** ATerm text. */
  readonly derivation: Buffer;
  /** Output name -> store path. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly inputs: readonly string[];
  /** Seconds; 0 is no limit. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  /** Bytes; 0 is no limit. */
  readonly maxLogBytes: number;
  /** The outputs are there: they are compared with what another build makes. */
  readonly check: boolean;
}

/** What is to be here before the build begins. */
export function pathsNeeded({ inputs, outputs, check }: WorkOrder): readonly string[] {
  return check ? [...inputs, ...Object.values(outputs)] : inputs;
}

export interface BuildWatcher {
  readonly signal: AbortSignal;
  /** Fetches the inputs; awaited before the build begins, and no part of its time. */
  readonly prepare: () => Promise<void>;
  readonly onLogLine: (line: Buffer) => void;
  readonly onPhase: (phase: string) => void;
}

/** The machine's Nix store, and its way to the server's binary cache. */
export interface Workshop {
  readonly nixVersion: string;
  readonly storeDir: string;
  /** Where the store's files lie, to tell how much room is left. */
  readonly realStoreDir: string;
  readonly systems: readonly string[];
  readonly features: readonly string[];
  /** Makes the closures of these paths valid here. Rejects when that cannot be done. */
  fetchInputs(paths: readonly string[], signal: AbortSignal): Promise<void>;
  /** Has the inputs fetched, and builds. Never rejects. */
  build(order: WorkOrder, watcher: BuildWatcher): Promise<RealiseResult>;
  /** Puts outputs with what they refer to into the server's cache. */
  upload(paths: readonly string[], signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
