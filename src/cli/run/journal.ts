/**
 * What is known of a run so far: its jobs, their errors and how each job ended. Everything printed,
 * for people or programs, is read from here. No clock and no output of its own.
 */
import type { FinishedState, LocalBuildFinished } from '../../builds/index.ts';
import type { EvaluationError, EvaluationEvent, JobFound } from '../../evaluations/index.ts';

/** The words of the JSON contract. */
export type RunStatus = 'succeeded' | 'failed' | 'dependency-failed' | 'cached' | 'timed-out' | 'cancelled';

export interface JobResult {
  readonly job: JobFound;
  readonly status: RunStatus;
  /** The exact end, of which `status` is the contract's word. */
  readonly state: FinishedState | 'cached';
  /** Whether that is what the job's mark asks for. */
  readonly good: boolean;
  readonly outputs: Readonly<Record<string, string | null>>;
  readonly message: string;
  readonly culprit: string | undefined;
  readonly seconds: number;
}

export interface RunCounts {
  readonly jobs: number;
  readonly errors: number;
  readonly succeeded: number;
  readonly cached: number;
  readonly failed: number;
  readonly dependencyFailed: number;
  readonly timedOut: number;
  readonly cancelled: number;
  /** Jobs whose end is not what their mark asks for. */
  readonly bad: number;
}

export interface Journal {
  evaluated(event: EvaluationEvent): void;
  /** Records the end of a derivation and returns the results of the jobs that hang on it. */
  ended(end: LocalBuildFinished): readonly JobResult[];
  /** The derivation was there before the run. */
  wasThere(drvPath: string): readonly JobResult[];
  readonly jobs: readonly JobFound[];
  readonly errors: readonly EvaluationError[];
  readonly results: readonly JobResult[];
  /** Failures of derivations that no job stands for, but that made jobs fail. */
  readonly failedInputs: readonly LocalBuildFinished[];
  jobsOf(drvPath: string): readonly JobFound[];
  counts(): RunCounts;
}

export function createJournal(): Journal {
  const jobs: JobFound[] = [];
  const errors: EvaluationError[] = [];
  const results: JobResult[] = [];
  const failedInputs: LocalBuildFinished[] = [];
  const byDerivation = new Map<string, JobFound[]>();

  /** Jobs that have no result yet, by derivation. */
  const waiting = new Map<string, JobFound[]>();

  const record = (drvPath: string, resultOf: (job: JobFound) => JobResult): readonly JobResult[] => {
    const added = (waiting.get(drvPath) ?? []).map(resultOf);
    waiting.delete(drvPath);
    results.push(...added);
    return added;
  };
  return {
    jobs,
    errors,
    results,
    failedInputs,
    evaluated(event) {
      if (event.type === 'error') errors.push(event);
      if (event.type !== 'job') return;
      jobs.push(event);
      for (const jobsByDerivation of [byDerivation, waiting]) {
        const sharing = jobsByDerivation.get(event.drvPath) ?? [];
        sharing.push(event);
        jobsByDerivation.set(event.drvPath, sharing);
      }
    },
    ended(end) {
      const { state, message, seconds, culprit } = end;
      if (!end.again && !byDerivation.has(end.drvPath) && culprit === undefined && isBad(state))
        failedInputs.push(end);
      return record(end.drvPath, (job) => ({
        job,
        status: statusOf(state),
        state,
        good: isGood(job, state),
        outputs: end.outputs,
        message,
        culprit,
        seconds,
      }));
    },
    wasThere: (drvPath) =>
      record(drvPath, (job) => ({
        job,
        status: 'cached',
        state: 'cached',
        good: isGood(job, 'cached'),
        outputs: job.outputs,
        message: '',
        culprit: undefined,
        seconds: 0,
      })),
    jobsOf: (drvPath) => byDerivation.get(drvPath) ?? [],
    counts: () => ({
      jobs: jobs.length,
      errors: errors.length,
      succeeded: tally(results, 'succeeded'),
      cached: tally(results, 'cached'),
      failed: tally(results, 'failed'),
      dependencyFailed: tally(results, 'dependency-failed'),
      timedOut: tally(results, 'timed-out'),
      cancelled: tally(results, 'cancelled'),
      bad: results.filter((result) => !result.good).length,
    }),
  };
}

function tally(results: readonly JobResult[], status: RunStatus): number {
  return results.filter((result) => result.status === status).length;
}

function isBad(state: FinishedState): boolean {
  return state !== 'succeeded' && state !== 'cancelled';
}

/** The contract tells fewer ends apart than the product; `reason` in the JSON says the exact one. */
function statusOf(state: FinishedState): RunStatus {
  switch (state) {
    case 'succeeded':
    case 'dependency-failed':
    case 'timed-out':
    case 'cancelled':
      return state;
    case 'silent-timeout':
      return 'timed-out';
    default:
      return 'failed';
  }
}

/** Marks, as the server counts them: may-fail never spoils a run, must-fail wants a failure. */
function isGood(job: JobFound, state: FinishedState | 'cached'): boolean {
  if (state === 'cancelled') return false;
  if (job.mark === 'may-fail') return true;
  const succeeded = state === 'succeeded' || state === 'cached';
  return succeeded !== (job.mark === 'must-fail');
}
