/**
 * What an evaluation says while it runs. Both evaluators, nix-eval-jobs and the built-in walker,
 * are reduced to this stream, and everything behind it (server, `ringmaster run`) reads only this.
 */

import {
  type Derivation,
  defaultMaxLogBytes,
  type PendingDerivations,
  type RealiseStatus,
} from '../nix/index.ts';
import type { Provenance } from './audit/provenance.ts';

/** An attribute path: names from the root of ci.nix. Names are any strings; the root job is `[]`. */
export type AttributePath = readonly string[];

/** A place in the repository. */
export interface SourceLocation {
  /** Path relative to the repository's root, with `/`. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1; absent where Nix does not tell. */
  readonly column?: number;
}

/** Marks a derivation may carry (Hercules CI); the first that matches counts. */
export type JobMark = 'regular' | 'may-fail' | 'must-fail' | 'dependencies-only' | 'effect';

/** What a job asks of its build, in `meta`. What is not asked for is absent. */
export interface JobLimits {
  /** `meta.timeout`: seconds that the build may take. At least 1. */
  readonly timeoutSeconds?: number;
  /** `meta.maxSilent`: seconds without output after which the build is ended. At least 1. */
  readonly maxSilentSeconds?: number;
  /** `meta.schedulingPriority`: higher first, any 32-bit integer. */
  readonly priority?: number;
}

/** One attribute that evaluated to a derivation. */
export interface JobFound {
  readonly type: 'job';
  readonly path: AttributePath;
  readonly drvPath: string;
  /** The derivation's name, for example `hello-2.12`. */
  readonly name: string;
  readonly system: string;
  /** Output name -> store path; null for content-addressed outputs. */
  readonly outputs: Readonly<Record<string, string | null>>;
  readonly mark: JobMark;
  readonly limits?: JobLimits;
}

/** One attribute that failed to evaluate, or, with the path `[]`, the whole evaluation. */
export interface EvaluationError {
  readonly type: 'error';
  readonly path: AttributePath;
  /** Nix's message without ANSI colours, with paths of the checkout made relative to it. */
  readonly message: string;
  readonly location?: SourceLocation;
}

/** Something worth saying that fails nothing: a warning, a trace, "nix/ci.nix hides ci.nix". */
export interface EvaluationNotice {
  readonly type: 'notice';
  readonly message: string;
  readonly location?: SourceLocation;
}

/** The first event of every evaluation that found a file. */
export interface EvaluationStarted {
  readonly type: 'started';
  /** Chosen file, relative to the repository's root: `nix/ci.nix`, `ci.nix` or `default.nix`, else `flake.nix`. */
  readonly file: string;
  /** `nix-eval-jobs 2.33.1`, `built-in (nix 2.8.0)`. */
  readonly evaluator: string;
}

export type EvaluationEvent = EvaluationStarted | JobFound | EvaluationError | EvaluationNotice;

/** What the ci.nix of an evaluation may ask for as `src` (only where its pattern names it). */
export interface SourceArgument {
  readonly rev: string;
  readonly ref: string;
  readonly branch?: string;
  readonly owner?: string;
  readonly name?: string;
  readonly remoteHttpUrl?: string;
}

export interface EvaluationLimits {
  /** Seconds for the whole evaluation, without those in which it waits for builds. */
  readonly totalSeconds: number;
  /** Seconds without any progress after which the attribute being evaluated is given up. */
  readonly attributeSeconds: number;
  /** Memory of an evaluator process. */
  readonly memoryMegabytes: number;
  /** Jobs and errors together. */
  readonly attributes: number;
  /** UTF-8 bytes of one message; longer ones are cut. */
  readonly messageBytes: number;
  /** Import from derivation: seconds that one build may take, with what it needs. */
  readonly importSeconds: number;
  /** Derivations that are built because the evaluation reads what they make. */
  readonly imports: number;
  /** Bytes that one such build may print. */
  readonly importLogBytes: number;
}

export const defaultEvaluationLimits: EvaluationLimits = {
  totalSeconds: 3600,
  attributeSeconds: 300,
  memoryMegabytes: 4096,
  attributes: 50_000,
  messageBytes: 64 * 1024,
  importSeconds: 3600,
  imports: 100,
  importLogBytes: defaultMaxLogBytes,
};

/** A build that began because the evaluation reads what it makes (import from derivation). */
export interface ImportBegun {
  readonly drvPath: string;
  readonly name: string;
  /** Undefined where the evaluation did not make it. */
  readonly derivation: Derivation | undefined;
  readonly startedAt: Date;
  /**
   * Ends the build, and what waits for it, as cancelled: what reads it is an error with these words.
   * Nothing happens to a build that has ended.
   */
  cancel(why: string): void;
}

export interface ImportEnd {
  readonly status: RealiseStatus;
  /** Nix's words, or ours, for a bad end. */
  readonly message: string;
  readonly startedAt: Date;
  readonly finishedAt: Date;
}

/** Hears of one such build. Its functions return at once; `ended` is the last, and always comes. */
export interface ImportListener {
  /** One line that the builder printed, without its newline. */
  line(bytes: Buffer): void;
  phase(name: string): void;
  ended(end: ImportEnd): void;
}

/** Called for each build that really takes place, what is built for another included. */
export type OnImport = (begun: ImportBegun) => ImportListener;

/** With what private repositories of one host are fetched. Only given to code that is locked in. */
export interface FetchAccess {
  /** For example `https://github.com`. */
  readonly webUrl: string;
  /** `owner/name` of what may be read with it. */
  readonly repositories: readonly string[];
  readonly username: string;
  readonly token: string;
}

export interface EvaluationRequest {
  /** Absolute path of a checkout. Its last component should be stable, since `./.` takes its name. */
  readonly checkout: string;
  readonly source: SourceArgument;
  /** Whether the code under evaluation is trusted (decides import-from-derivation and the sandbox). */
  readonly trusted: boolean;
  readonly limits: EvaluationLimits;
  /** Systems whose outputs are jobs, where the commit is evaluated as a flake. Default: the evaluator's. */
  readonly systems?: readonly string[];
  /** Called, perhaps often, when the code asks which commit it is, so that its files do not decide alone. */
  readonly onCommitUsed?: () => void;
  /**
   * Where to keep the derivations that the evaluation makes, which then are in the store only as far
   * as the evaluation itself reads them. Absent: all are written.
   */
  readonly derivations?: PendingDerivations;
  /**
   * Answers for what the code uses and did not make; what nobody answers for is refused. Absent: the
   * store is all the user's own.
   */
  readonly provenance?: Provenance;
  readonly onImport?: OnImport;
  /** What trusted code may fetch besides what anybody may. */
  readonly fetchAccess?: FetchAccess;
  readonly signal: AbortSignal;
}

/**
 * Evaluates one checkout. The stream always ends, whatever the code under evaluation does:
 * every failure, the evaluator's own included, is an `error` event. It throws only when cancelled, and
 * a ProvenanceUnavailable when it is not to be found out what the code may use.
 */
export type Evaluate = (request: EvaluationRequest) => AsyncIterable<EvaluationEvent>;
