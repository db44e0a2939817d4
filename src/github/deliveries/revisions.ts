/** Deliveries that bring commits: pushes to branches, and pull requests. */

import type { RevisionSubmission } from '../../evaluations/index.ts';
import type { DeliveryContext } from './context.ts';
import type { PullRequestPayload, PushPayload } from './payloads.ts';
import { projectOf } from './project-of.ts';

const branchPrefix = 'refs/heads/';
/** What git forbids in ref names (git-check-ref-format(1)). */
const impossibleInRefs = /[\p{Cc} ~^:?*[\\]|\.\.|@\{/u;

/** A branch has a new head. Whoever can push to the repository is trusted. */
export async function handlePush(context: DeliveryContext, payload: PushPayload): Promise<string> {
  if (!payload.ref.startsWith(branchPrefix) || impossibleInRefs.test(payload.ref)) {
    return `Ignored: ${payload.ref} is not a branch.`;
  }
  const branch = payload.ref.slice(branchPrefix.length);
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  if (payload.deleted || /^0+$/.test(payload.after)) return `Ignored: the branch ${branch} was deleted.`;
  const head = payload.head_commit;
  const title = head?.message ?? '';
  return submit(context, {
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

/** A pull request has a head. Its trust is that of the repository it lives in, not of its author's words. */
export async function handlePullRequest(
  context: DeliveryContext,
  payload: PullRequestPayload,
): Promise<string> {
  const { action, number, pull_request: pull } = payload;
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  if (!actionsWithHead.has(action))
    return `Ignored: pull request ${number} was ${action}, which brings no commit.`;
  if (pull.base.repo.id !== payload.repository.id) {
    return `Ignored: pull request ${number} belongs to another repository than the one named.`;
  }
  return submit(context, {
    project,
    sha: pull.head.sha,
    trust: trustOf(payload),
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

function trustOf({ repository, pull_request: pull }: PullRequestPayload): RevisionSubmission['trust'] {
  const head = pull.head.repo;
  if (head?.id === repository.id) return { kind: 'trusted' };
  const origin = head
    ? `the fork ${head.full_name.owner}/${head.full_name.name}`
    : 'a fork that has been deleted';
  return { kind: 'needs-approval', reason: `The pull request comes from ${origin}.` };
}

async function submit(context: DeliveryContext, submission: RevisionSubmission): Promise<string> {
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
