/** Pushes: real commits in the repository, and the events GitHub sends when refs have moved. */
import { ensureSuite, suiteJson } from './check-suites.ts';
import type { Emitter } from './emit.ts';
import { type Files, git, listRefs, readDirectory, tryGit, writeCommit, zeroSha } from './git.ts';
import { type Move, pushFacts } from './push-facts.ts';
import type { Delivery } from './webhooks.ts';
import { ensureUser, needRepository, type Repository, type User, type World } from './world.ts';

export interface PushOptions {
  /** `owner/name`. */
  readonly repo: string;
  /** Default: the default branch. */
  readonly branch?: string;
  readonly files?: Files;
  /** Read all files from here; what is not there is removed. */
  readonly directory?: string;
  readonly message?: string;
  /** Login of the committer and sender; default: the owner. */
  readonly author?: string;
  /** Branch, tag or sha a new branch starts from; default: the default branch. */
  readonly from?: string;
  /** Start over from `from`, or from nothing: a force push. */
  readonly force?: boolean;
  /** `false`: commit, but let GitHub announce it later (see `announce`). */
  readonly announce?: boolean;
}

export interface Push {
  readonly sha: string;
  readonly before: string;
  readonly ref: string;
  /** What was delivered: push, check_suite, pull_request synchronize. */
  readonly deliveries: readonly Delivery[];
}

export interface Pushes {
  push(options: PushOptions): Promise<Push>;
  /** Sends the events for all refs that moved since the last time, whoever moved them. */
  announce(repo: string, sender?: string): Promise<readonly Delivery[]>;
  tag(repo: string, name: string, at?: string): Promise<readonly Delivery[]>;
  deleteBranch(repo: string, branch: string): Promise<readonly Delivery[]>;
}

/** Told about each branch that moved in a repository, to synchronise pull requests. */
export type OnBranchMoved = (
  repository: Repository,
  branch: string,
  before: string,
  sender: User,
) => Promise<readonly Delivery[]>;

export function createPushes(world: World, emitter: Emitter, onBranchMoved: OnBranchMoved): Pushes {
  // One announcement after the other: two that overlap would report a ref twice.
  const queues = new Map<Repository, Promise<unknown>>();
  const announce = (repository: Repository, sender: User): Promise<readonly Delivery[]> => {
    const next = (queues.get(repository) ?? Promise.resolve()).then(async () => {
      const moves = takeMoves(repository, await listRefs(repository.directory));
      const sent = await Promise.all(
        moves.map((move) => announceMove(world, emitter, onBranchMoved, repository, move, sender)),
      );
      return sent.flat();
    });
    queues.set(
      repository,
      next.catch(() => {}),
    );
    return next;
  };
  const senderOf = (repository: Repository, login?: string) =>
    login === undefined ? repository.owner : ensureUser(world, login);
  return {
    push: async (options) => {
      const repository = needRepository(world, options.repo);
      const branch = options.branch ?? repository.defaultBranch;
      const ref = `refs/heads/${branch}`;
      const author = senderOf(repository, options.author);
      const before = await refSha(repository, ref);
      const start = options.from ?? (options.force === true ? undefined : repository.defaultBranch);
      const parent =
        before !== undefined && options.force !== true
          ? before
          : start === undefined
            ? null
            : ((await anySha(repository, start)) ?? null);
      const sha = await writeCommit(repository.directory, {
        branch,
        files:
          options.directory === undefined ? (options.files ?? {}) : await readDirectory(options.directory),
        replace: options.directory !== undefined,
        message: options.message ?? `Change ${Object.keys(options.files ?? {}).join(', ') || 'nothing'}`,
        author: { name: author.login, email: `${author.login}@users.noreply.example.org` },
        time: world.clock(),
        parent,
        force: options.force === true,
      });
      const deliveries = options.announce === false ? [] : await announce(repository, author);
      return { sha, before: before ?? zeroSha, ref, deliveries };
    },
    announce: (repo, sender) => {
      const repository = needRepository(world, repo);
      return announce(repository, senderOf(repository, sender));
    },
    tag: async (repo, name, at) => {
      const repository = needRepository(world, repo);
      await git(repository.directory, ['tag', '--', name, at ?? repository.defaultBranch]);
      return announce(repository, repository.owner);
    },
    deleteBranch: async (repo, branch) => {
      const repository = needRepository(world, repo);
      await git(repository.directory, ['update-ref', '-d', `refs/heads/${branch}`]);
      return announce(repository, repository.owner);
    },
  };
}

async function refSha(repository: Repository, ref: string): Promise<string | undefined> {
  const found = await tryGit(repository.directory, ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`]);
  return found.exitCode === 0 ? found.stdout.trim() : undefined;
}

async function anySha(repository: Repository, name: string): Promise<string | undefined> {
  return (await refSha(repository, `refs/heads/${name}`)) ?? (await refSha(repository, name));
}

function takeMoves(repository: Repository, refs: ReadonlyMap<string, string>): readonly Move[] {
  const moves: Move[] = [];
  const known = repository.announcedRefs;
  const visible = [...refs].filter(([ref]) => /^refs\/(heads|tags)\//.test(ref));
  for (const [ref, after] of visible) {
    const before = known.get(ref) ?? zeroSha;
    if (before === after) continue;
    moves.push({ ref, before, after });
    known.set(ref, after);
  }
  for (const [ref, before] of [...known]) {
    if (refs.has(ref)) continue;
    moves.push({ ref, before, after: zeroSha });
    known.delete(ref);
  }
  return moves;
}

async function announceMove(
  world: World,
  emitter: Emitter,
  onBranchMoved: OnBranchMoved,
  repository: Repository,
  move: Move,
  sender: User,
): Promise<readonly Delivery[]> {
  const facts = await pushFacts(world, repository, move, sender);
  const branch = move.ref.startsWith('refs/heads/') ? move.ref.slice('refs/heads/'.length) : undefined;
  const sent: Promise<Delivery | undefined>[] = [emitter.emit(repository, 'push', undefined, facts, sender)];
  if (branch !== undefined && move.after !== zeroSha) {
    const suite = ensureSuite(world, repository, move.after, move.before);
    const body = { check_suite: suiteJson(world, repository, suite) };
    sent.push(emitter.emit(repository, 'check_suite', 'requested', body, sender));
  }
  const synchronised =
    branch === undefined ? [] : await onBranchMoved(repository, branch, move.before, sender);
  const answered = await Promise.all(sent);
  return [...answered.filter((delivery) => delivery !== undefined), ...synchronised];
}
