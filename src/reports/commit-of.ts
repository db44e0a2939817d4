/** A revision as something whose files can be asked for. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type CheckoutRequest, findProject } from '../projects/index.ts';

const row = z.object({ project_id: z.number(), sha: z.string(), git_ref: z.string().nullable() });

/** Undefined when the revision or its project is gone. */
export async function commitOf(db: Knex, revisionId: number): Promise<CheckoutRequest | undefined> {
  const found: unknown = await db('revisions')
    .leftJoin('revision_sources', 'revision_sources.revision_id', 'revisions.id')
    .select('project_id', 'sha', 'git_ref')
    .where('revisions.id', revisionId)
    .orderByRaw('ended_at IS NULL DESC, seen_at DESC')
    .first();
  if (found === undefined) return undefined;
  const { project_id, sha, git_ref } = row.parse(found);
  const project = await findProject(db, project_id);
  return project && { project, sha, gitRef: git_ref ?? sha };
}
