/** Deliveries that bring commits: pushes to branches, and pull requests. */

import type { RevisionSubmission } from '../../evaluations/index.ts';
import type { Project } from '../../projects/index.ts';
import { mayWrite, type Permission } from '../questions.ts';
import type { AskingContext, DeliveryContext } from './context.ts';
import type { PullRequestPayload, PushPayload } from './payloads.ts';
import { placeOf, projectOf } from './project-of.ts';
import { endSource } from './sources.ts';
import { stopRevision } from './stop-revision.ts';

const branchPrefix = 'refs/heads/';
/** What git forbids in ref names (git-check-ref-format(1)). */
const impossibleInRefs = /[\p{Cc} ~^:?*[\\]|\.\.|@\{/u;

/** The branch a ref names; undefined for tags and what is no ref. */
export function branchOf(ref: string): string | undefined {
  const impossible = !ref.startsWith(branchPrefix) || impossibleInRefs.test(ref);
  return impossible ? undefined : ref.slice(branchPrefix.length);
}

/** A branch has a new head. Whoever can push to the repository is trusted. */
export async function handlePush(context: DeliveryContext, payload: PushPayload): Promise<string> {
  const branch = branchOf(payload.ref);
  if (branch === undefined) return `Ignored: ${payload.ref} is not a branch.`;
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  if (payload.deleted || /^0+$/.test(payload.after)) {
    await endSource(context.trx, project.id, { kind: 'branch', name: branch });
    return `Ignored: the branch ${branch} was deleted.`;
  }
  const head = payload.head_commit;
  const title = head?.message ?? '';
  return submitCommit(context, {
    project,
    sha: payload.after,
    ...(head?.id === payload.after && head.tree_id !== undefined ? { tree: head.tree_id } : {}),
    trust: { kind: 'trusted' },
    title,
    author: head?.author?.name ?? payload.pusher?.name ?? '',
    source: { kind: 'branch', name: branch, gitRef: payload.ref, title },
  });
}

/** Actions after which a pull request may have a head that nobody has looked at. */
const actionsWithHead = new Set(['opened', 'synchronize', 'reopened', 'ready_for_review']);
/** Actions whose sender has put the head there. */
const actionsOfPushers = new Set(['opened', 'synchronize']);

/**
 * What a stranger's fork brings may still have been brought by somebody who could have pushed it to the
 * repository itself. Asked only about people: a bot acts for whoever makes it act.
 */
export async function askAboutPusher(
  { questions }: AskingContext,
  payload: PullRequestPayload,
): Promise<Permission> {
  const { action, sender, repository, installation, pull_request: pull } = payload;
  if (!questions || !sender || !installation || sender.type === 'Bot' || sender.login.endsWith('[bot]')) {
    return 'none';
  }
  if (!actionsOfPushers.has(action) || pull.head.repo?.id === repository.id) return 'none';
  return questions.permissionOf(placeOf(repository, installation.id), sender.login);
}

/** A pull request has a head. Its trust is that of the repository it lives in, or of who pushed it there. */
export async function handlePullRequest(
  context: DeliveryContext,
  payload: PullRequestPayload,
  permission: Permission,
): Promise<string> {
  const { action, number, pull_request: pull } = payload;
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  if (action === 'closed') return endPullRequest(context, project, payload);
  // Titles are edited all the time; a new base is another place to be merged into.
  const retargeted = action === 'edited' && payload.changes?.base !== undefined;
  if (!actionsWithHead.has(action) && !retargeted)
    return `Ignored: pull request ${number} was ${action}, which brings no commit.`;
  if (pull.base.repo.id !== payload.repository.id) {
    return `Ignored: pull request ${number} belongs to another repository than the one named.`;
  }
  return submitCommit(context, {
    project,
    sha: pull.head.sha,
    trust: trustOf(payload, permission),
    title: pull.title,
    author: pull.user?.login ?? '',
    source: {
      kind: 'pull-request',
      name: String(number),
      gitRef: `refs/pull/${number}/head`,
      baseBranch: pull.base.ref,
      title: pull.title,
    },
  });
}

/**
 * Its results are of no use to anybody any more, unless another branch or pull request has the same
 * commit. The branch it was made from does not count, however long it stays.
 */
async function endPullRequest(
  context: DeliveryContext,
  project: Project,
  { number, repository, pull_request: pull }: PullRequestPayload,
): Promise<string> {
  const { ref, repo } = pull.head;
  const own = repo?.id === repository.id && ref !== undefined && ref !== project.defaultBranch;
  const revisions = await endSource(context.trx, project.id, { kind: 'pull-request', name: String(number) });
  let stopped = 0;
  for (const id of revisions) {
    const why = `Pull request #${number} was closed.`;
    if (await stopRevision(context, id, why, { ifUnwanted: true, ...(own ? { but: ref } : {}) }))
      stopped += 1;
  }
  return stopped === 0
    ? `Noted: pull request ${number} was closed.`
    : `Cancelled what was under way for pull request ${number}: it was closed.`;
}

function trustOf(
  { repository, pull_request: pull }: PullRequestPayload,
  permission: Permission,
): RevisionSubmission['trust'] {
  const head = pull.head.repo;
  if (head?.id === repository.id || mayWrite(permission)) return { kind: 'trusted' };
  const origin = head
    ? `the fork ${head.full_name.owner}/${head.full_name.name}`
    : 'a fork that has been deleted';
  return { kind: 'needs-approval', reason: `The pull request comes from ${origin}.` };
}

/** Hands a commit on to be evaluated, and says what became of it. */
export async function submitCommit(
  context: DeliveryContext,
  submission: RevisionSubmission,
): Promise<string> {
  const { project, sha, source } = submission;
  const where = source.kind === 'branch' ? `branch ${source.name}` : `pull request ${source.name}`;
  const what = `${project.owner}/${project.name}, ${where}, commit ${sha.slice(0, 12)}`;
  if (!project.enabled) return `Ignored: ${project.owner}/${project.name} is disabled.`;
  const { evaluationId, created } = await context.submit(context.trx, submission);
  if (evaluationId === undefined) return `Waits for approval: ${what}.`;
  return created
    ? `Queued evaluation ${evaluationId}: ${what}.`
    : `Evaluation ${evaluationId} has it already: ${what}.`;
}
