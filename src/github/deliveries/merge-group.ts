/**
 * Deliveries about merge queues. GitHub tells of a group twice, as `merge_group` and as a push of the
 * queue's branch, in any order: both bring the same commit, which is evaluated once.
 */
import { z } from 'zod';
import type { DeliveryContext } from './context.ts';
import type { MergeGroupPayload } from './payloads.ts';
import { projectOf } from './project-of.ts';
import { branchOf, submitCommit } from './revisions.ts';
import { endSource } from './sources.ts';
import { stopRevision } from './stop-revision.ts';

/** Only people with write permission queue, and GitHub itself made the commit: it is trusted. */
export async function handleMergeGroup(
  context: DeliveryContext,
  payload: MergeGroupPayload,
): Promise<string> {
  const { action, merge_group: group } = payload;
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  const branch = branchOf(group.head_ref);
  if (branch === undefined) return 'Ignored: the group has no branch.';
  if (action === 'destroyed') {
    await endSource(context.trx, project.id, { kind: 'branch', name: branch });
    // A merged group's commit is the base branch's now.
    if (payload.reason === 'merged') return `Noted: ${branch} was merged.`;
    const found: unknown = await context
      .trx('revisions')
      .select('id')
      .where({ project_id: project.id, sha: group.head_sha })
      .first();
    if (found === undefined) return `Noted: ${branch} is gone.`;
    const { id } = z.object({ id: z.number() }).parse(found);
    const stopped = await stopRevision(context, id, 'The merge queue gave the group up.', {
      ifUnwanted: true,
    });
    return stopped ? `Cancelled: the merge queue gave ${branch} up.` : `Noted: ${branch} is gone.`;
  }
  if (action !== 'checks_requested') return `Ignored: the merge group was ${action}.`;
  const head = group.head_commit;
  const title = head?.message ?? '';
  const baseBranch = group.base_ref === undefined ? undefined : branchOf(group.base_ref);
  return submitCommit(context, {
    project,
    sha: group.head_sha,
    ...(head?.id === group.head_sha && head.tree_id !== undefined ? { tree: head.tree_id } : {}),
    trust: { kind: 'trusted' },
    title,
    author: head?.author?.name ?? '',
    source: {
      kind: 'branch',
      name: branch,
      gitRef: group.head_ref,
      ...(baseBranch === undefined ? {} : { baseBranch }),
      title,
    },
  });
}
