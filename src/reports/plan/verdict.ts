/** What one attribute's row in the database means, in the words every report uses. */
import { type BuildState, isFailure, stateWords } from '../../builds/index.ts';
import { formatDuration } from '../duration.ts';
import type { BuildFacts, EvaluationFacts, JobFacts } from '../facts.ts';
import { plainLine } from '../markdown.ts';
import { displayPath } from '../names.ts';
import type { CheckConclusion } from '../types.ts';
import { headline } from './headline.ts';
import { shortCause } from './short-cause.ts';

/** In the order in which people want to see them. */
export const phases = ['bad', 'cancelled', 'building', 'queued', 'tolerated', 'good'] as const;
export type Phase = (typeof phases)[number];

export interface Verdict {
  readonly phase: Phase;
  /** Shape, so that colour is never all there is. */
  readonly shape: string;
  /** One sentence: state, then cause. */
  readonly sentence: string;
  /** Exactly when it is over. */
  readonly conclusion: CheckConclusion | undefined;
}

/** A job with its meaning; the planner works on these. */
export interface JudgedJob {
  readonly job: JobFacts;
  readonly label: string;
  readonly verdict: Verdict;
}

const shapes = {
  bad: '❌',
  cancelled: '🚫',
  building: '🌓',
  queued: '⚪',
  tolerated: '⚠️',
  good: '✅',
} as const;
const hollowCross = '✖️';

/**
 * Judges the jobs of an evaluation: worst first, of failures those that only follow from others last, and by path.
 */
export function judgeJobs(jobs: readonly JobFacts[], evaluation: EvaluationFacts): readonly JudgedJob[] {
  return jobs
    .map((job) => ({ job, label: displayPath(job.path), verdict: judge(job, evaluation) }))
    .sort((a, b) => rank(a) - rank(b) || follows(a) - follows(b) || compare(a.label, b.label));
}

function rank(judged: JudgedJob): number {
  return phases.indexOf(judged.verdict.phase);
}

function follows({ job, verdict }: JudgedJob): number {
  return verdict.phase === 'bad' && job.build?.state === 'dependency-failed' ? 1 : 0;
}

/** By code unit, so that the order is the same on every machine. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function judge(job: JobFacts, evaluation: EvaluationFacts): Verdict {
  if (job.error) {
    return over('bad', `Evaluation failed: ${headline(job.error.message)}`, 'failure');
  }
  if (job.cached) return marked(job, over('good', 'Already built', 'success'));
  const finished = job.build ? judgeBuild(job.build) : undefined;
  if (finished?.conclusion) return marked(job, finished);
  // A cancelled evaluation no longer waits for builds that others may still want.
  if (evaluation.finishedAt) return over('cancelled', 'Cancelled before it was built', 'cancelled');
  return finished ?? underWay('queued', 'Queued');
}

function judgeBuild(build: BuildFacts): Verdict {
  switch (build.state) {
    case 'blocked':
      return underWay('queued', 'Queued: waiting for its dependencies');
    case 'queued':
      return underWay('queued', 'Queued');
    case 'building':
      return underWay('building', build.builder ? `Building on ${plainLine(build.builder)}` : 'Building');
    case 'succeeded':
      return over('good', goodSentence(build), 'success');
    case 'cancelled':
      return over('cancelled', 'Cancelled', 'cancelled');
    case 'timed-out':
    case 'silent-timeout':
      return over('bad', badSentence(build), 'timed_out');
    case 'dependency-failed':
      return { ...over('bad', badSentence(build), 'failure'), shape: hollowCross };
    default:
      return over('bad', badSentence(build), 'failure');
  }
}

function goodSentence(build: BuildFacts): string {
  if (build.attemptStatus === 'already-valid') return 'Already built';
  const verb = build.attemptStatus === 'substituted' ? 'Fetched from a cache' : 'Built';
  const duration = durationOf(build);
  return duration === undefined ? verb : `${verb} in ${duration}`;
}

/** State and cause of a build that ended badly. */
export function badSentence(build: Pick<BuildFacts, 'state' | 'message'> & Partial<BuildFacts>): string {
  if (build.state === 'dependency-failed') {
    return build.culprit ? `Dependency failed: ${plainLine(build.culprit.name)}` : 'Dependency failed';
  }
  const word = stateWords[build.state];
  const state = `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
  const cause = saysWhy.has(build.state) ? shortCause(build.message) : '';
  if (cause.startsWith('exit code')) return `${state} with ${cause}`;
  if (cause.startsWith('signal')) return `${state}: ended by ${cause}`;
  // That sentence names the system; the state would say the same twice.
  if (cause !== '' && build.state === 'unsupported-system') return cause;
  if (cause !== '') return `${state}: ${cause}`;
  const duration = durationOf(build);
  return duration !== undefined && build.state === 'timed-out' ? `${state} after ${duration}` : state;
}

/** How long the build took, in words; undefined while it is not over. */
export function durationOf(build: Partial<BuildFacts>): string | undefined {
  if (!build.startedAt || !build.finishedAt) return undefined;
  return formatDuration(build.finishedAt.getTime() - build.startedAt.getTime());
}

/** Applies the derivation's mark to how its build ended. */
function marked(job: JobFacts, verdict: Verdict): Verdict {
  const isBad = verdict.phase === 'bad';
  if (job.mark === 'may-fail' && isBad) {
    return over('tolerated', `${verdict.sentence} (allowed to fail)`, 'neutral');
  }
  if (job.mark !== 'must-fail') return verdict;
  if (verdict.phase === 'good') {
    return over('bad', `${verdict.sentence}, but it is marked as one that must fail`, 'failure');
  }
  const failed = job.build !== undefined && isFailure(job.build.state);
  return failed ? over('good', `${verdict.sentence}, as it must`, 'success') : verdict;
}

function over(phase: Phase, sentence: string, conclusion: CheckConclusion): Verdict {
  return { phase, shape: shapes[phase], sentence, conclusion };
}

function underWay(phase: 'building' | 'queued', sentence: string): Verdict {
  return { phase, shape: shapes[phase], sentence, conclusion: undefined };
}

/** Ends whose message has a cause worth a line; the others are said by their words alone. */
const saysWhy: ReadonlySet<BuildState> = new Set([
  'failed',
  'unsupported-system',
  'out-of-disk',
  'builder-lost',
]);
