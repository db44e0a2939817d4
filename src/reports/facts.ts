/** Everything a report says comes from here: what the database knows of one revision at one moment. */
import type { BuildState } from '../builds/index.ts';
import type {
  AttributePath,
  EvaluationChanges,
  EvaluationNotice,
  JobMark,
  PassedOver,
  SourceLocation,
} from '../evaluations/index.ts';
import type { RepositorySettings, SettingsReview } from '../projects/index.ts';
import type { Place } from './places/match.ts';

export interface LogTail {
  readonly attemptId: number;
  readonly lines: readonly string[];
  readonly totalLines: number;
}

export interface BuildFacts {
  readonly id: number;
  readonly state: BuildState;
  /** Nix's words for a bad end. */
  readonly message: string;
  /** Of the last attempt. */
  readonly builder: string | undefined;
  /** RealiseStatus of the last attempt: tells a build from a download. */
  readonly attemptStatus: string | undefined;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
  /** The build whose failure ended this one. */
  readonly culprit:
    | { readonly name: string; readonly state: BuildState; readonly message: string }
    | undefined;
  /** Of a fixed-output derivation, its own or the culprit's: what it promises and what came out. */
  readonly hashes?: Hashes | undefined;
  /** The end of its log, or of the culprit's; read only where a check of its own shows it. */
  readonly log: LogTail | undefined;
  /** Where that log is: the culprit's last attempt, or its own. */
  readonly logAttemptId: number | undefined;
  /** What that log says about files of the commit; undefined where nobody has looked. */
  readonly places?: readonly Place[] | undefined;
}

export interface Hashes {
  readonly specified: string;
  readonly got: string;
}

/** Somebody asked for the hash to be written into the file that has the wrong one. */
export interface HashApplication {
  readonly specified: string;
  readonly askedBy: string;
  readonly applied: boolean;
  /** What came of it: a sentence; undefined while it is under way. */
  readonly outcome: string | undefined;
}

export interface JobFacts {
  readonly path: AttributePath;
  readonly mark: JobMark;
  readonly drvPath: string | undefined;
  readonly name: string | undefined;
  readonly system: string | undefined;
  readonly error: { readonly message: string; readonly location: SourceLocation | undefined } | undefined;
  /** All outputs were there before. */
  readonly cached: boolean;
  readonly build: BuildFacts | undefined;
}

/** How many jobs are in which phase. */
export interface JobCounts {
  readonly bad: number;
  readonly cancelled: number;
  readonly building: number;
  readonly queued: number;
  readonly tolerated: number;
  readonly good: number;
  readonly all: number;
}

/** How many jobs there are, where not all of them were read. */
export interface JobTotals {
  readonly counts: JobCounts;
  /** Those that did not evaluate. */
  readonly errors: number;
}

/** What several jobs failed for: an error of the evaluation, another build, or what builds them. */
export interface SharedCause {
  readonly attributes: number;
  readonly error?: NonNullable<JobFacts['error']>;
  readonly build?: Pick<BuildFacts, 'state' | 'message'>;
  /** Name of the build that failed. */
  readonly culprit?: string;
}

export type EvaluationState = 'queued' | 'evaluating' | 'building' | 'succeeded' | 'failed' | 'cancelled';

export interface EvaluationFacts {
  readonly id: number;
  readonly state: EvaluationState;
  /** Why it waits, for people: git or the disk was away. */
  readonly waitingFor: string | undefined;
  /** Why it was cancelled: a sentence for people. */
  readonly cancelReason?: string | undefined;
  readonly file: string | undefined;
  readonly evaluator: string | undefined;
  /** The commit whose evaluation this one was copied from, since it has the same files. */
  readonly knownFrom: string | undefined;
  readonly notices: readonly EvaluationNotice[];
  readonly queuedAt: Date;
  readonly startedAt: Date | undefined;
  readonly evaluatedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
}

export interface ReportFacts {
  readonly revisionId: number;
  readonly installationId: number;
  readonly owner: string;
  readonly repository: string;
  readonly sha: string;
  readonly trust: 'trusted' | 'needs-approval';
  readonly trustReason: string | undefined;
  /** `pull request #7`, `branch main`. */
  readonly sources: readonly string[];
  /** The repository's settings leave it out wherever it was seen; why, where it was seen last. */
  readonly passedOver?: PassedOver | undefined;
  /** About the settings file of this commit. */
  readonly settingsReview?: SettingsReview | undefined;
  /** What the repository wants, where it says so. */
  readonly statuses?: RepositorySettings['statuses'];
  /** The newest one. */
  readonly evaluation: EvaluationFacts | undefined;
  /** Of thousands those that may be shown: some of each phase, failures first. */
  readonly jobs: readonly JobFacts[];
  /** Absent: `jobs` are all. */
  readonly totals?: JobTotals;
  /** Those of most jobs first; of errors as many as of builds, so that builds do not change what is known of errors. */
  readonly causes?: readonly SharedCause[];
  /** Against the base revision, once they are known. */
  readonly changes?: EvaluationChanges | undefined;
  /** Whether the App may commit hashes there, or can suggest them; undefined: GitHub was not asked. */
  readonly mayApply?: boolean | undefined;
  /** The newest one of each hash. */
  readonly applications?: readonly HashApplication[];
  /** Names of checks this revision was given before: they are reported to their end. */
  readonly reportedChecks: readonly string[];
}
