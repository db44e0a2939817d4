/** Pull requests, from branches and from forks, with their `refs/pull/N/head` and `/merge`. */
import { join } from 'node:path';
import type { Emitter } from './emit.ts';
import { createBareRepository, type Files, git, listRefs, tryGit } from './git.ts';
import { mergeCommits } from './git-history.ts';
import { isoTime, type JsonObject } from './json.ts';
import type { Push, Pushes, PushOptions } from './pushes.ts';
import { pullRequestJson } from './render.ts';
import { newRepository } from './setup.ts';
import type { Delivery } from './webhooks.ts';
import {
  ensureUser,
  findRepository,
  fullName,
  needRepository,
  type PullRequest,
  type Repository,
  type User,
  type World,
} from './world.ts';

export interface OpenPullRequest {
  readonly repo: string;
  /** The head branch; created from `base` with `files` when given. */
  readonly head: string;
  readonly base?: string;
  /** Login of a stranger whose fork brings the head; the fork is made when missing. */
  readonly fork?: string;
  readonly files?: Files;
  readonly directory?: string;
  readonly message?: string;
  readonly author?: string;
  readonly title?: string;
  readonly body?: string;
  readonly draft?: boolean;
  readonly labels?: readonly string[];
}

export interface OpenedPullRequest {
  readonly number: number;
  readonly headSha: string;
  readonly pull: PullRequest;
  /** The repository with the head branch, `owner/name`. */
  readonly headRepo: string;
  readonly delivery: Delivery | undefined;
}

export interface PullRequests {
  fork(repo: string, owner: string): Promise<Repository>;
  open(options: OpenPullRequest): Promise<OpenedPullRequest>;
  /** Pushes another commit to the head branch. */
  synchronize(repo: string, number: number, change: Omit<PushOptions, 'repo' | 'branch'>): Promise<Push>;
  closePullRequest(
    repo: string,
    number: number,
    options?: { readonly merge?: boolean },
  ): Promise<readonly Delivery[]>;
  reopenPullRequest(repo: string, number: number): Promise<Delivery | undefined>;
  labelPullRequest(
    repo: string,
    number: number,
    label: string,
    sender?: string,
  ): Promise<Delivery | undefined>;
  markReady(repo: string, number: number): Promise<Delivery | undefined>;
  /** Called when a branch moved: brings the pull requests it heads or bases up to date. */
  branchMoved(
    repository: Repository,
    branch: string,
    before: string,
    sender: User,
  ): Promise<readonly Delivery[]>;
}

export function createPullRequests(world: World, emitter: Emitter, pushes: () => Pushes): PullRequests {
  const emit = (repository: Repository, pull: PullRequest, action: string, sender: User, more?: JsonObject) =>
    emitter.emit(
      repository,
      'pull_request',
      action,
      {
        number: pull.number,
        // GitHub tests the merge later: a fresh event never knows the answer.
        pull_request: {
          ...pullRequestJson(world, repository, pull),
          ...(pull.merged ? {} : { mergeable: null, mergeable_state: 'unknown', merge_commit_sha: null }),
        },
        ...more,
      },
      sender,
    );
  const need = (repo: string, number: number) => {
    const repository = needRepository(world, repo);
    const pull = repository.pulls.get(number);
    if (!pull) throw new Error(`The GitHub double has no pull request ${number} in '${repo}'.`);
    return { repository, pull };
  };
  const change = async (
    repo: string,
    number: number,
    action: string,
    apply: (pull: PullRequest) => void,
    sender?: string,
  ) => {
    const { repository, pull } = need(repo, number);
    apply(pull);
    pull.updatedAt = isoTime(world.clock());
    return emit(repository, pull, action, sender === undefined ? pull.author : ensureUser(world, sender));
  };

  const fork = async (repo: string, owner: string): Promise<Repository> => {
    const parent = needRepository(world, repo);
    const found = findRepository(world, `${owner}/${parent.name}`);
    if (found) return found;
    const directory = join(world.dataDir, 'repositories', `${owner}-fork-of-${parent.id}.git`);
    await createBareRepository(directory, parent.defaultBranch, parent.directory);
    const repository = newRepository(world, {
      owner: ensureUser(world, owner),
      name: parent.name,
      private: parent.private,
      defaultBranch: parent.defaultBranch,
      directory,
      parent,
    });
    for (const [ref, sha] of await listRefs(directory)) repository.announcedRefs.set(ref, sha);
    world.repositories.set(repository.id, repository);
    return repository;
  };

  return {
    fork,
    open: async (options) => {
      const repository = needRepository(world, options.repo);
      const source = options.fork === undefined ? repository : await fork(options.repo, options.fork);
      const base = options.base ?? repository.defaultBranch;
      const author = options.author ?? options.fork ?? repository.owner.login;
      if (options.files !== undefined || options.directory !== undefined) {
        await pushes().push({
          repo: fullName(source),
          branch: options.head,
          from: base,
          author,
          ...(options.files === undefined ? {} : { files: options.files }),
          ...(options.directory === undefined ? {} : { directory: options.directory }),
          ...(options.message === undefined ? {} : { message: options.message }),
        });
      }
      const now = isoTime(world.clock());
      const pull: PullRequest = {
        id: world.nextId(),
        number: repository.nextNumber++,
        title: options.title ?? `Change ${options.head}`,
        body: options.body ?? null,
        author: ensureUser(world, author),
        head: { repository: source, ref: options.head },
        base: { ref: base },
        headSha: await git(source.directory, ['rev-parse', `refs/heads/${options.head}`]),
        baseSha: await git(repository.directory, ['rev-parse', `refs/heads/${base}`]),
        state: 'open',
        draft: options.draft ?? false,
        merged: false,
        mergeable: null,
        mergeCommitSha: null,
        labels: [...(options.labels ?? [])],
        createdAt: now,
        updatedAt: now,
      };
      await refreshRefs(world, repository, pull);
      repository.pulls.set(pull.number, pull);
      const delivery = await emit(repository, pull, 'opened', pull.author);
      return { number: pull.number, headSha: pull.headSha, pull, headRepo: fullName(source), delivery };
    },
    synchronize: async (repo, number, given) => {
      const { pull } = need(repo, number);
      const where = { repo: fullName(pull.head.repository), branch: pull.head.ref };
      return pushes().push({ author: pull.author.login, ...given, ...where });
    },
    closePullRequest: async (repo, number, options = {}) => {
      const { repository, pull } = need(repo, number);
      pull.state = 'closed';
      pull.updatedAt = isoTime(world.clock());
      if (options.merge === true) {
        const message = `Merge pull request #${number}\n\n${pull.title}`;
        const base = await git(repository.directory, ['rev-parse', `refs/heads/${pull.base.ref}`]);
        const merged = await mergeCommits(repository.directory, base, pull.headSha, message, world.clock());
        if (merged === undefined) throw new Error(`Pull request ${number} of '${repo}' conflicts.`);
        await git(repository.directory, ['update-ref', `refs/heads/${pull.base.ref}`, merged]);
        pull.merged = true;
        pull.mergeCommitSha = merged;
      }
      const closed = await emit(repository, pull, 'closed', repository.owner);
      const pushed = options.merge === true ? await pushes().announce(repo) : [];
      return [...(closed ? [closed] : []), ...pushed];
    },
    reopenPullRequest: (repo, number) =>
      change(repo, number, 'reopened', (pull) => {
        pull.state = 'open';
      }),
    labelPullRequest: (repo, number, label, sender) =>
      change(repo, number, 'labeled', (pull) => void pull.labels.push(label), sender),
    markReady: (repo, number) =>
      change(repo, number, 'ready_for_review', (pull) => {
        pull.draft = false;
      }),
    branchMoved: async (repository, branch, before, sender) => {
      const sent: Delivery[] = [];
      for (const target of world.repositories.values()) {
        for (const pull of target.pulls.values()) {
          if (pull.state !== 'open') continue;
          const heads = pull.head.repository === repository && pull.head.ref === branch;
          const bases = target === repository && pull.base.ref === branch;
          if (!heads && !bases) continue;
          const gone = !(await refreshRefs(world, target, pull));
          if (!heads || gone) continue;
          pull.updatedAt = isoTime(world.clock());
          const delivery = await emit(target, pull, 'synchronize', sender, { before, after: pull.headSha });
          if (delivery) sent.push(delivery);
        }
      }
      return sent;
    },
  };
}

/** Reads both tips, then moves `refs/pull/N/head` and the test merge. `false`: the head is gone. */
async function refreshRefs(world: World, repository: Repository, pull: PullRequest): Promise<boolean> {
  const { directory } = repository;
  const source = pull.head.repository.directory;
  const head = await tryGit(source, ['rev-parse', '--verify', '--quiet', `refs/heads/${pull.head.ref}`]);
  const base = await tryGit(directory, ['rev-parse', '--verify', '--quiet', `refs/heads/${pull.base.ref}`]);
  if (head.exitCode !== 0 || base.exitCode !== 0) return false;
  pull.headSha = head.stdout.trim();
  pull.baseSha = base.stdout.trim();
  const ref = `refs/pull/${pull.number}`;
  // The fork's objects are copied in, as on GitHub, where the base repository serves them.
  if (source !== directory)
    await git(directory, ['fetch', '--quiet', source, `+${pull.headSha}:${ref}/head`]);
  else await git(directory, ['update-ref', `${ref}/head`, pull.headSha]);
  const message = `Merge ${pull.headSha} into ${pull.baseSha}`;
  const merged = await mergeCommits(directory, pull.baseSha, pull.headSha, message, world.clock());
  pull.mergeable = merged !== undefined;
  pull.mergeCommitSha = merged ?? null;
  if (merged === undefined) await tryGit(directory, ['update-ref', '-d', `${ref}/merge`]);
  else await git(directory, ['update-ref', `${ref}/merge`, merged]);
  return true;
}
