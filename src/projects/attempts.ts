/** Work on a commit in a mirror: a fetch where needed, and a mirror made anew where it is damaged. */
import { type Logger, messageOf } from '../basics/index.ts';
import type { GitFailure } from './git.ts';
import type { Mirror, Mirrors } from './mirror.ts';
import type { GitAccess, NotHad } from './types.ts';

export interface WantedFrom {
  /** Name of its mirror. */
  readonly mirror: string;
  /** For a person: `acme/rockets`. */
  readonly repository: string;
  readonly sha: string;
  /** Asked for when the server does not give single commits. */
  readonly gitRef: string;
  readonly signal: AbortSignal | undefined;
  /** Called only when something must be fetched. */
  open(): Promise<GitAccess>;
}

export interface Ready {
  readonly kind: 'ready';
}

export type Failed =
  | NotHad
  | { readonly kind: 'unknown'; readonly during: 'fetching' | 'writing'; readonly reason: string };

export type Attempt<T> = T | Failed;

export type OnCommit = <T extends Ready>(
  wanted: WantedFrom,
  step: (mirror: Mirror) => Promise<Attempt<T>>,
) => Promise<T | NotHad>;

/** The step may be done twice. Never rejects. */
export function createAttempts(mirrors: Mirrors, log: Logger): OnCommit {
  return async (wanted, step) => {
    if (!/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(wanted.sha)) {
      return { kind: 'failed', reason: `'${wanted.sha.slice(0, 80)}' is not a commit's hash.` };
    }
    try {
      const work = (mirror: Mirror) => onMirror(mirror, wanted, log, step);
      const result = await mirrors.use(wanted.mirror, work, wanted.signal);
      return result === 'busy' ? { kind: 'later', reason: 'Another process works on this mirror.' } : result;
    } catch (error) {
      log.warn({ err: error, mirror: wanted.mirror }, 'a checkout failed');
      return { kind: 'later', reason: `The checkout failed: ${messageOf(error)}` };
    }
  };
}

/** A fetch where needed, and the step. A mirror that turns out to be damaged is replaced once. */
async function onMirror<T extends Ready>(
  mirror: Mirror,
  wanted: WantedFrom,
  log: Logger,
  step: (mirror: Mirror) => Promise<Attempt<T>>,
): Promise<T | NotHad> {
  const attempt = async () => (await fetched(mirror, wanted)) ?? (await step(mirror));
  const first = await attempt();
  if (first.kind !== 'unknown') return first;
  log.warn(
    { mirror: wanted.mirror, reason: first.reason },
    'the mirror of a repository is damaged and made anew',
  );
  await mirror.recreate();
  const second = await attempt();
  if (second.kind !== 'unknown') return second;
  // Fresh from the server and still not to be written: that is the commit's own fault.
  return second.during === 'fetching'
    ? { kind: 'later', reason: `git: ${second.reason}` }
    : { kind: 'failed', reason: `git cannot check out the commit ${wanted.sha}: ${second.reason}` };
}

/** Makes sure that the mirror has the commit; undefined when it has. */
async function fetched(mirror: Mirror, wanted: WantedFrom): Promise<Failed | undefined> {
  if (await mirror.has(wanted.sha)) return undefined;
  const access = await wanted.open();
  if (access.kind !== 'ready') return access;
  try {
    const { sha, gitRef, signal } = wanted;
    const failure = await mirror.fetch({ source: access.source, sha, gitRef, signal });
    return failure && explain(failure, wanted);
  } finally {
    await access.close();
  }
}

function explain(failure: GitFailure, { repository, sha }: WantedFrom): Failed {
  if (failure.kind === 'no-commit') {
    const reason = `The commit ${sha} is not in ${repository} any more (${failure.reason}).`;
    return { kind: 'failed', reason };
  }
  if (failure.kind === 'refused') {
    return { kind: 'failed', reason: `${repository} cannot be read: ${failure.reason}.` };
  }
  if (failure.kind === 'later') {
    return { kind: 'later', reason: `${repository} could not be fetched: ${failure.reason}.` };
  }
  return { kind: 'unknown', during: 'fetching', reason: failure.reason };
}
