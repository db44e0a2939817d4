/** Branches, tags and pull requests that are over: nobody waits for what only they brought. */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { SourceKind } from '../../evaluations/index.ts';

export interface Source {
  readonly kind: SourceKind;
  readonly name: string;
}

/** Notes that a branch, tag or pull request is over. Returns its revisions, newest first. */
export async function endSource(
  trx: Knex.Transaction,
  projectId: number,
  { kind, name }: Source,
): Promise<readonly number[]> {
  const result: unknown = await trx.raw(
    `UPDATE revision_sources s SET ended_at = now() FROM revisions r
     WHERE r.id = s.revision_id AND r.project_id = :projectId AND s.kind = :kind AND s.name = :name
       AND s.ended_at IS NULL
     RETURNING s.revision_id AS id`,
    { projectId, kind, name },
  );
  const { rows } = z.object({ rows: z.array(z.object({ id: z.number() })) }).parse(result);
  return rows.map(({ id }) => id).sort((a, b) => b - a);
}

/** Whether a branch or pull request that is not over has the commit; `but`: a branch that does not count. */
export async function isWanted(trx: Knex.Transaction, revisionId: number, but?: string): Promise<boolean> {
  const found: unknown = await trx('revision_sources')
    .select('name')
    .where({ revision_id: revisionId })
    .whereNull('ended_at')
    .whereNot({ kind: 'branch', name: but ?? '' })
    .first();
  return found !== undefined;
}
