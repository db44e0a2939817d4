/** What people do on github.com besides pushing: comments, buttons, reviews, settings. */
import { checkRunJson } from './check-runs.ts';
import { suiteJson } from './check-suites.ts';
import { addComment, commentFacts } from './comments.ts';
import type { Emitter } from './emit.ts';
import { git } from './git.ts';
import { mergeCommits } from './git-history.ts';
import { isoTime, type JsonObject } from './json.ts';
import type { Pushes } from './pushes.ts';
import type { Recorded } from './recorded.ts';
import { installationJson, pullRequestJson, userJson } from './render.ts';
import type { Delivery, Webhooks } from './webhooks.ts';
import {
  type CheckRun,
  type Comment,
  ensureUser,
  fullName,
  type Installation,
  needRepository,
  type Repository,
  type World,
} from './world.ts';

export interface Gestures {
  /** Somebody comments on a pull request. */
  comment(options: {
    readonly repo: string;
    readonly number: number;
    readonly author: string;
    readonly body: string;
  }): Promise<{ readonly comment: Comment; readonly delivery: Delivery | undefined }>;
  editComment(repo: string, id: number, body: string): Promise<Delivery | undefined>;
  review(options: {
    readonly repo: string;
    readonly number: number;
    readonly author: string;
    readonly state: 'approved' | 'changes_requested' | 'commented';
    readonly body?: string;
  }): Promise<Delivery | undefined>;
  /** The Re-run button of one check. */
  rerequestRun(run: CheckRun, sender?: string): Promise<Delivery | undefined>;
  /** The "Re-run all checks" button of a commit. */
  rerequestSuite(repo: string, sha: string, sender?: string): Promise<Delivery | undefined>;
  /** One of the check's own buttons. */
  pressButton(run: CheckRun, identifier: string, sender?: string): Promise<Delivery | undefined>;
  /** Queues a pull request for merging: the queue's branch is pushed and announced. */
  enqueue(repo: string, number: number): Promise<{ readonly sha: string; readonly ref: string }>;
  dequeue(
    repo: string,
    ref: string,
    reason: 'merged' | 'invalidated' | 'dequeued',
  ): Promise<Delivery | undefined>;
  suspend(owner: string): Promise<Delivery>;
  unsuspend(owner: string): Promise<Delivery>;
  uninstall(owner: string): Promise<Delivery>;
  /** Gives repositories to, or takes them from, an installation of selected repositories. */
  selectRepository(repo: string, selected: boolean): Promise<Delivery>;
  rename(repo: string, name: string): Promise<Delivery | undefined>;
  setPrivate(repo: string, isPrivate: boolean): Promise<Delivery | undefined>;
}

export function createGestures(
  world: World,
  emitter: Emitter,
  recorded: Recorded,
  webhooks: Webhooks,
  pushes: Pushes,
): Gestures {
  const sender = (repository: Repository, login?: string) =>
    login === undefined ? repository.owner : ensureUser(world, login);
  const needPull = (repository: Repository, number: number) => {
    const pull = repository.pulls.get(number);
    if (!pull)
      throw new Error(`The GitHub double has no pull request ${number} in '${fullName(repository)}'.`);
    return pull;
  };
  const onInstallation = (
    installation: Installation,
    event: string,
    action: string,
    facts: JsonObject = {},
  ) =>
    webhooks.deliver(
      event,
      recorded.payload(event, action, {
        installation: installationJson(world, installation),
        sender: userJson(world, installation.account),
        ...facts,
      }),
    );
  const installationFor = (owner: string): Installation => {
    const login = owner.toLowerCase();
    const found = [...world.installations.values()].find(
      ({ account, deleted }) => !deleted && account.login.toLowerCase() === login,
    );
    if (!found) throw new Error(`The App is not installed for '${owner}'.`);
    return found;
  };
  const reposOf = (owner: string) =>
    [...world.repositories.values()].filter((one) => one.owner.login === owner).map(briefly);
  const ofRun = (run: CheckRun, action: string, login: string | undefined, more: JsonObject = {}) =>
    emitter.emit(
      run.repository,
      'check_run',
      action,
      { check_run: checkRunJson(world, run), ...more },
      sender(run.repository, login),
    );

  return {
    comment: async ({ repo, number, author, body }) => {
      const repository = needRepository(world, repo);
      const user = ensureUser(world, author);
      const comment = addComment(world, repository, number, user, body);
      const facts = commentFacts(world, repository, comment);
      return { comment, delivery: await emitter.emit(repository, 'issue_comment', 'created', facts, user) };
    },
    editComment: async (repo, id, body) => {
      const repository = needRepository(world, repo);
      const comment = repository.comments.find((one) => one.id === id);
      if (!comment) throw new Error(`The GitHub double has no comment ${id}.`);
      const changes = { body: { from: comment.body } };
      comment.body = body;
      comment.updatedAt = isoTime(world.clock());
      const facts = { ...commentFacts(world, repository, comment), changes };
      return emitter.emit(repository, 'issue_comment', 'edited', facts, comment.user);
    },
    review: async ({ repo, number, author, state, body }) => {
      const repository = needRepository(world, repo);
      const pull = needPull(repository, number);
      const user = ensureUser(world, author);
      const review = {
        id: world.nextId(),
        user: userJson(world, user),
        body: body ?? null,
        commit_id: pull.headSha,
        submitted_at: isoTime(world.clock()),
        state,
      };
      const facts = { review, pull_request: pullRequestJson(world, repository, pull) };
      return emitter.emit(repository, 'pull_request_review', 'submitted', facts, user);
    },
    rerequestRun: (run, login) => ofRun(run, 'rerequested', login),
    pressButton: (run, identifier, login) =>
      ofRun(run, 'requested_action', login, { requested_action: { identifier } }),
    rerequestSuite: async (repo, sha, login) => {
      const repository = needRepository(world, repo);
      const suite = repository.suites.find(({ headSha }) => headSha === sha);
      if (!suite) throw new Error(`No check suite for ${sha}.`);
      const facts = { check_suite: suiteJson(world, repository, suite) };
      return emitter.emit(repository, 'check_suite', 'rerequested', facts, sender(repository, login));
    },
    enqueue: async (repo, number) => {
      const repository = needRepository(world, repo);
      const pull = needPull(repository, number);
      const message = `Merge pull request #${number}\n\n${pull.title}`;
      const sha = await mergeCommits(
        repository.directory,
        pull.baseSha,
        pull.headSha,
        message,
        world.clock(),
      );
      if (sha === undefined) throw new Error(`Pull request ${number} of '${repo}' conflicts.`);
      const ref = `refs/heads/gh-readonly-queue/${pull.base.ref}/pr-${number}-${pull.baseSha}`;
      await git(repository.directory, ['update-ref', ref, sha]);
      const group = {
        head_sha: sha,
        head_ref: ref,
        base_sha: pull.baseSha,
        base_ref: `refs/heads/${pull.base.ref}`,
        head_commit: { id: sha, message },
      };
      const facts = { merge_group: group };
      // Both are sent, in no promised order.
      await Promise.all([
        pushes.announce(repo),
        emitter.emit(repository, 'merge_group', 'checks_requested', facts, repository.owner),
      ]);
      return { sha, ref };
    },
    dequeue: async (repo, ref, reason) => {
      const repository = needRepository(world, repo);
      const sha = await git(repository.directory, ['rev-parse', ref]);
      await git(repository.directory, ['update-ref', '-d', ref]);
      const facts = { reason, merge_group: { head_sha: sha, head_ref: ref } };
      const sent = emitter.emit(repository, 'merge_group', 'destroyed', facts, repository.owner);
      await pushes.announce(repo);
      return sent;
    },
    suspend: (owner) => {
      const installation = installationFor(owner);
      installation.suspendedAt = world.clock();
      return onInstallation(installation, 'installation', 'suspend');
    },
    unsuspend: (owner) => {
      const installation = installationFor(owner);
      installation.suspendedAt = undefined;
      return onInstallation(installation, 'installation', 'unsuspend');
    },
    uninstall: (owner) => {
      const installation = installationFor(owner);
      const repositories = reposOf(installation.account.login);
      installation.deleted = true;
      return onInstallation(installation, 'installation', 'deleted', { repositories });
    },
    selectRepository: (repo, selected) => {
      const repository = needRepository(world, repo);
      const installation = installationFor(repository.owner.login);
      if (selected) installation.repositoryIds.add(repository.id);
      else installation.repositoryIds.delete(repository.id);
      return onInstallation(installation, 'installation_repositories', selected ? 'added' : 'removed', {
        repository_selection: installation.selection,
        repositories_added: selected ? [briefly(repository)] : [],
        repositories_removed: selected ? [] : [briefly(repository)],
      });
    },
    rename: async (repo, name) => {
      const repository = needRepository(world, repo);
      const changes = { repository: { name: { from: repository.name } } };
      world.formerNames.set(fullName(repository).toLowerCase(), repository.id);
      repository.name = name;
      return emitter.emit(repository, 'repository', 'renamed', { changes }, repository.owner);
    },
    setPrivate: async (repo, isPrivate) => {
      const repository = needRepository(world, repo);
      repository.private = isPrivate;
      const action = isPrivate ? 'privatized' : 'publicized';
      return emitter.emit(repository, 'repository', action, {}, repository.owner);
    },
  };
}

const briefly = (repository: Repository): JsonObject => ({
  id: repository.id,
  node_id: `R_${repository.id}`,
  name: repository.name,
  full_name: fullName(repository),
  private: repository.private,
});
