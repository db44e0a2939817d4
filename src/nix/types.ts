/**
 * The words of Nix that the rest of the program uses. Nothing here does any work.
 *
 * A store path is kept as the full string, `/nix/store/<32 characters>-<name>`.
 */
import type { PathSink, PathSource } from './copy-closure.ts';

export type { PathInfo } from './daemon/index.ts';

/** One output of a derivation: its name and, unless content-addressed and floating, its path. */
export interface DerivationOutput {
  readonly path: string | undefined;
  /** For fixed-output derivations: `sha256`, `r:sha256`, … */
  readonly hashAlgorithm: string | undefined;
  readonly hash: string | undefined;
}

/** A parsed `.drv` file (ATerm). */
export interface Derivation {
  readonly outputs: ReadonlyMap<string, DerivationOutput>;
  /** Input derivation path -> names of the outputs that are needed of it. */
  readonly inputDerivations: ReadonlyMap<string, readonly string[]>;
  readonly inputSources: readonly string[];
  readonly system: string;
  readonly builder: string;
  readonly arguments: readonly string[];
  readonly environment: ReadonlyMap<string, string>;
}

/** What the store would have to do to make the outputs of some derivations valid. */
export interface Missing {
  /** Derivation paths that must be built, the inputs of the asked ones included. */
  readonly willBuild: ReadonlySet<string>;
  /** Output paths that a substituter has. */
  readonly willSubstitute: ReadonlySet<string>;
  /** Paths nobody knows how to make. */
  readonly unknown: ReadonlySet<string>;
}

/**
 * How one try to realise a derivation ended, as Nix tells it (`BuildResult::Status` of the daemon
 * protocol), reduced to what the product tells apart.
 */
export type RealiseStatus =
  | 'built'
  | 'substituted'
  | 'already-valid'
  | 'failed' // the builder exited non-zero, or did not produce an output
  | 'timed-out'
  | 'silent-timeout'
  | 'log-limit'
  | 'output-mismatch' // a fixed-output derivation whose hash differs
  | 'non-deterministic'
  | 'dependency-failed'
  | 'unsupported-system' // no such system or feature on that store
  | 'cancelled'
  | 'out-of-disk' // the machine's disk is full, as Nix says; a builder that prints so has just failed
  | 'infrastructure'; // the store, the daemon or the machine failed, not the build

export interface RealiseResult {
  readonly status: RealiseStatus;
  /** Nix's words, without ANSI colours. Empty for good results. */
  readonly message: string;
  readonly outputs: Readonly<Record<string, string>>;
}

export interface RealiseRequest {
  readonly drvPath: string;
  /**
   * Its outputs are valid: it is built once more, and what comes out is compared with them and thrown
   * away. `built` then means that it is the same.
   */
  readonly check?: boolean;
  readonly signal: AbortSignal;
  /** Seconds. 0 means no limit. Enforced by the caller of Nix, since ssh stores ignore Nix's own. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  /** One line of the builder's output, without its newline. Bytes, since builders print anything. */
  readonly onLogLine: (line: Buffer) => void;
  /** Name of the phase that starts, from stdenv's setPhase. */
  readonly onPhase?: (phase: string) => void;
  /** Paths that the store is not to collect from before `prepare` until the end. */
  readonly keep?: readonly string[];
  /** Makes the store ready; what it takes does not count as time of the build. May run twice. */
  readonly prepare?: () => Promise<void>;
}

/** A derivation for a store that need not know those it depends on. */
export interface ResolvedDerivation {
  readonly derivation: Derivation;
  /** Sources, and the outputs it needs of other derivations. */
  readonly inputs: readonly string[];
}

/**
 * A connection to one Nix store. Calls on one store may run at the same time; the implementation
 * holds as many connections as it needs. Every method rejects with an OperatorError when the store
 * cannot be reached; `realise` never rejects, it tells.
 */
export interface NixStore extends PathSource, PathSink {
  /** For messages: `local`, `ssh-ng://host`, … */
  readonly name: string;
  /** What is missing to have all outputs of these derivations; one question over the whole graph. */
  queryMissing(drvPaths: readonly string[]): Promise<Missing>;
  /** Which of these paths are valid in the store. */
  queryValidPaths(paths: readonly string[]): Promise<ReadonlySet<string>>;
  /** The valid path whose name starts with these 32 characters: how caches are asked. */
  pathOfHash(hashPart: string): Promise<string | undefined>;
  /** Which of these paths some substituter has. */
  querySubstitutable(paths: readonly string[]): Promise<ReadonlySet<string>>;
  /** Builds or substitutes all outputs of one derivation whose inputs are valid or substitutable. */
  realise(request: RealiseRequest): Promise<RealiseResult>;
  /** Builds one derivation whose inputs are valid, as `ResolvedDerivation` has it. Needs to be trusted. */
  buildDerivation(request: RealiseRequest, resolved: ResolvedDerivation): Promise<RealiseResult>;
  /** Rejects when the store does not answer. */
  ping(): Promise<void>;
  /** Makes a link in a roots directory that keeps a path from being collected. */
  addIndirectRoot(link: string): Promise<void>;
  close(): Promise<void>;
}
