/** Facts for the planner's tests: a small good revision, to be changed where a test looks. */
import type { BuildFacts, EvaluationFacts, JobFacts, ReportFacts } from '../facts.ts';
import type { PlanOptions } from './plan.ts';

export const options: PlanOptions = { publicUrl: 'https://ci.example.org', statuses: 'summary' };

const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 12, 0, seconds));

export function build(change: Partial<BuildFacts> = {}): BuildFacts {
  return {
    id: 1,
    state: 'succeeded',
    message: '',
    builder: 'local',
    attemptStatus: 'built',
    startedAt: at(10),
    finishedAt: at(22),
    culprit: undefined,
    log: undefined,
    logAttemptId: undefined,
    ...change,
  };
}

/** A build that failed as Nix tells it. */
export function failedBuild(change: Partial<BuildFacts> = {}): BuildFacts {
  return build({
    state: 'failed',
    attemptStatus: 'failed',
    message: "builder for '/nix/store/aaa-x.drv' failed with exit code 3;",
    ...change,
  });
}

export function job(path: string | readonly string[], change: Partial<JobFacts> = {}): JobFacts {
  return {
    path: typeof path === 'string' ? path.split('.') : path,
    mark: 'regular',
    drvPath: '/nix/store/7s0sf4v5dbkyvlyjdyzwiqk3wcyjwyn9-x.drv',
    name: 'x',
    system: 'x86_64-linux',
    error: undefined,
    cached: false,
    build: build(),
    ...change,
  };
}

export function evaluationError(
  path: readonly string[],
  message: string,
  location?: { readonly file: string; readonly line: number },
): JobFacts {
  return job(path, { error: { message, location }, drvPath: undefined, build: undefined });
}

export function evaluation(change: Partial<EvaluationFacts> = {}): EvaluationFacts {
  return {
    id: 1,
    state: 'succeeded',
    waitingFor: undefined,
    file: 'nix/ci.nix',
    evaluator: 'built-in (nix 2.8.0)',
    knownFrom: undefined,
    notices: [],
    queuedAt: at(0),
    startedAt: at(1),
    evaluatedAt: at(5),
    finishedAt: at(30),
    ...change,
  };
}

/** An evaluation that has not ended. */
export function open(state: 'queued' | 'evaluating' | 'building', waitingFor?: string): EvaluationFacts {
  return evaluation({
    state,
    waitingFor,
    finishedAt: undefined,
    evaluatedAt: state === 'building' ? at(5) : undefined,
    startedAt: state === 'queued' ? undefined : at(1),
  });
}

export function facts(change: Partial<ReportFacts> = {}): ReportFacts {
  return {
    revisionId: 1,
    installationId: 1,
    owner: 'acme',
    repository: 'hello',
    sha: '0123456789abcdef0123456789abcdef01234567',
    trust: 'trusted',
    trustReason: undefined,
    sources: ['branch main'],
    evaluation: evaluation(),
    jobs: [job('hello')],
    reportedChecks: [],
    ...change,
  };
}
