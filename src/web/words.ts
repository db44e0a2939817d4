/** The words, shapes and tones of states: the same in every page. Never colour alone. */
import { stateWords } from '../builds/index.ts';
import type { AttemptRow } from './read/builds.ts';
import { buildStates, type JobRow } from './read/jobs.ts';
import type { BuilderRow } from './read/machines.ts';
import type { ProjectRow } from './read/projects.ts';
import type { RevisionLine } from './read/revision-lines.ts';

export type Shape = 'circle' | 'half' | 'tick' | 'cross' | 'hollow-cross' | 'hand' | 'slash';
export type Tone = 'muted' | 'accent' | 'success' | 'danger' | 'attention';

/** How a state is shown. */
export interface StateFace {
  readonly word: string;
  readonly shape: Shape;
  readonly tone: Tone;
}

const faces = {
  queued: { word: 'queued', shape: 'circle', tone: 'muted' },
  running: { word: 'building', shape: 'half', tone: 'accent' },
  good: { word: 'built', shape: 'tick', tone: 'success' },
  bad: { word: 'failed', shape: 'cross', tone: 'danger' },
  because: { word: 'dependency failed', shape: 'hollow-cross', tone: 'danger' },
  stopped: { word: 'cancelled', shape: 'slash', tone: 'muted' },
  person: { word: 'approval needed', shape: 'hand', tone: 'attention' },
} as const satisfies Record<string, StateFace>;

/** The state of a job, with what its mark makes of it. */
export function jobFace(job: Pick<JobRow, 'state' | 'job_group' | 'mark'>): StateFace {
  if (job.state === 'evaluation-error') return { ...faces.bad, word: 'evaluation error' };
  if (job.state === 'cached') return markedGood(job, 'cached');
  if (job.state === 'succeeded') return markedGood(job, stateWords.succeeded);
  if (job.state === 'building') return faces.running;
  if (job.state === 'blocked' || job.state === 'queued') return faces.queued;
  if (job.state === 'cancelled') return faces.stopped;
  const word = stateWords[job.state];
  if (job.job_group === 'good') return { ...faces.good, word: `${word}, as it must` };
  if (job.job_group === 'allowed')
    return { shape: 'hollow-cross', tone: 'muted', word: `${word}, as it may` };
  return job.state === 'dependency-failed' ? faces.because : { ...faces.bad, word };
}

function markedGood(job: Pick<JobRow, 'job_group'>, word: string): StateFace {
  return job.job_group === 'bad' ? { ...faces.bad, word: `${word}, but must fail` } : { ...faces.good, word };
}

/** The state of a revision: of its trust first, then of its newest evaluation. */
export function revisionFace(line: Pick<RevisionLine, 'evaluation' | 'trust' | 'sources'>): StateFace {
  const evaluation = line.evaluation;
  if (!evaluation) {
    if (isPassedOver(line)) return { ...faces.stopped, word: 'passed over' };
    return line.trust === 'needs-approval' ? faces.person : faces.queued;
  }
  switch (evaluation.state) {
    case 'queued':
      return faces.queued;
    case 'evaluating':
      return { ...faces.running, word: 'evaluating' };
    case 'building':
      return faces.running;
    case 'succeeded':
      return { ...faces.good, word: 'all good' };
    case 'failed':
      return faces.bad;
    case 'cancelled':
      return evaluation.superseded_by === null ? faces.stopped : { ...faces.stopped, word: 'superseded' };
  }
}

/** The repository's settings leave it out wherever it was seen. */
export function isPassedOver({ sources }: Pick<RevisionLine, 'sources'>): boolean {
  return sources.length > 0 && sources.every((source) => source.passed_over !== null);
}

/** How an attempt ended. */
export function attemptFace({ state, status }: Pick<AttemptRow, 'state' | 'status'>): StateFace {
  if (state === 'running') return faces.running;
  if (state === 'lost') return { ...faces.stopped, word: 'lost' };
  switch (status) {
    case 'built':
      return faces.good;
    case 'substituted':
      return { ...faces.good, word: 'fetched from a cache' };
    case 'already-valid':
      return { ...faces.good, word: 'was there already' };
    case 'infrastructure':
      return { ...faces.because, word: 'machine failed' };
    case 'builder-lost':
      return { ...faces.because, word: 'builder lost' };
    case 'out-of-disk':
      return { ...faces.because, word: 'no disk space left' };
    case 'cancelled':
      return faces.stopped;
    default: {
      const state = buildStates.find((known) => known === status);
      return { ...faces.bad, word: state === undefined ? 'failed' : stateWords[state] };
    }
  }
}

/** Whether the attempt says something of the machine and nothing of the build. */
export function isMachinesFault({ state, status }: Pick<AttemptRow, 'state' | 'status'>): boolean {
  return state === 'lost' || ['infrastructure', 'builder-lost', 'out-of-disk'].includes(status ?? '');
}

/** How a builder can be: the words are those of `ringmaster builder list`. */
export const builderConditions = [
  'ready',
  'building',
  'resting',
  'overloaded',
  'away',
  'never connected',
  'draining',
  'disabled',
  'quarantined',
] as const;
export type BuilderCondition = (typeof builderConditions)[number];

export function builderCondition(builder: BuilderRow, now: Date): BuilderCondition {
  if (!builder.enabled) {
    return builder.last_error?.startsWith('Quarantined:') === true ? 'quarantined' : 'disabled';
  }
  if (builder.draining) return 'draining';
  if (neverSeen(builder)) return 'never connected';
  if (!builder.connected) return 'away';
  if (builder.disabled_until !== null && builder.disabled_until > now) return 'resting';
  if (builder.withheld !== null) return 'overloaded';
  return builder.occupied > 0 ? 'building' : 'ready';
}

const conditionFaces = {
  ready: faces.good,
  building: faces.running,
  resting: faces.bad,
  overloaded: faces.stopped,
  away: faces.stopped,
  'never connected': faces.queued,
  draining: faces.stopped,
  disabled: faces.stopped,
  quarantined: faces.bad,
} as const satisfies Record<BuilderCondition, StateFace>;

export function builderFace(builder: BuilderRow, now: Date): StateFace {
  const word = builderCondition(builder, now);
  return { ...conditionFaces[word], word };
}

/** An agent that was registered and has not dialled in since. */
export function neverSeen(builder: BuilderRow): boolean {
  return builder.kind === 'agent' && !builder.connected && builder.version === null;
}

/** Whether it gets builds when it has free slots. */
export function takesBuilds(builder: BuilderRow, now: Date): boolean {
  const resting = builder.disabled_until !== null && builder.disabled_until > now;
  return builder.enabled && !builder.draining && builder.connected && !resting && builder.withheld === null;
}

/** What is being counted, in the words of the filter. */
export const groupWords = {
  bad: 'failed',
  running: 'building',
  queued: 'queued',
  stopped: 'cancelled',
  allowed: 'allowed to fail',
  good: 'good',
} as const;

export const groupFaces = {
  bad: faces.bad,
  running: faces.running,
  queued: faces.queued,
  stopped: faces.stopped,
  allowed: { shape: 'hollow-cross', tone: 'muted', word: 'allowed to fail' },
  good: { ...faces.good, word: 'good' },
} as const satisfies Record<keyof typeof groupWords, StateFace>;

/** The face of a build or an input outside of any job. */
export function buildFace(state: keyof typeof stateWords): StateFace {
  const job_group = state === 'succeeded' ? ('good' as const) : ('bad' as const);
  return jobFace({ state, job_group: state === 'succeeded' ? 'good' : job_group, mark: 'regular' });
}

/** Why nothing of a project is evaluated, in a word; undefined: it is. */
export function restOf(project: Pick<ProjectRow, 'enabled' | 'paused_at'>): string | undefined {
  if (project.enabled) return undefined;
  return project.paused_at === null ? 'not installed' : 'paused';
}

/** The default branch by name, where GitHub has told it: messages about installations do not. */
export function defaultBranchName(project: Pick<ProjectRow, 'default_branch'>): string {
  return project.default_branch === 'HEAD' ? 'the default branch' : project.default_branch;
}
