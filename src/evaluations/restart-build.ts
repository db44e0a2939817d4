import type { Knex } from 'knex';
import { z } from 'zod';
import { forgetFailures } from '../builds/index.ts';
import { rerunRevision } from './rerun.ts';
import type { OnRevisionChanged } from './submit.ts';

export type Restart =
  /** Evaluations that were begun, or were under way, and want the build again. */
  | { readonly kind: 'restarted'; readonly evaluationIds: readonly number[] }
  | { readonly kind: 'unknown' | 'unfinished' | 'succeeded' | 'not-wanted' };

const buildRow = z.object({
  state: z.string(),
  finished_at: z.date().nullable(),
  drv_path: z.string(),
  culprit: z.string().nullable(),
});

/**
 * Has a build that ended badly tried again. A finished build never changes: what is known of its
 * failure is forgotten, and the commits that wanted it are evaluated again, which is quick where their
 * files are known. Other failures of theirs stay known.
 */
export async function restartBuild(
  trx: Knex.Transaction,
  buildId: number,
  onRevisionChanged: OnRevisionChanged,
): Promise<Restart> {
  const found: unknown = await trx('builds as b')
    .leftJoin('builds as c', 'c.id', 'b.culprit_build_id')
    .select('b.state', 'b.finished_at', 'b.drv_path', 'c.drv_path as culprit')
    .where('b.id', buildId)
    .first();
  if (found === undefined) return { kind: 'unknown' };
  const build = buildRow.parse(found);
  if (build.finished_at === null) return { kind: 'unfinished' };
  if (build.state === 'succeeded') return { kind: 'succeeded' };
  const wanting = await revisionsWanting(trx, buildId);
  if (wanting.length === 0) return { kind: 'not-wanted' };
  await forgetFailures(trx, build.culprit === null ? [build.drv_path] : [build.drv_path, build.culprit]);
  const evaluationIds: number[] = [];
  for (const revisionId of wanting) {
    const rerun = await rerunRevision(trx, {
      revisionId,
      scope: 'all',
      chosen: () => false,
      onRevisionChanged,
    });
    if (rerun.kind === 'started' || rerun.kind === 'under-way') evaluationIds.push(rerun.evaluationId);
  }
  return evaluationIds.length > 0 ? { kind: 'restarted', evaluationIds } : { kind: 'not-wanted' };
}

/** Commits whose newest evaluation hangs on the build, or on one that failed because of it. */
async function revisionsWanting(trx: Knex.Transaction, buildId: number): Promise<readonly number[]> {
  const result: unknown = await trx.raw(
    `SELECT DISTINCT e.revision_id AS id
     FROM builds b JOIN jobs j ON j.build_id = b.id JOIN evaluations e ON e.id = j.evaluation_id
     WHERE (b.id = :buildId OR b.culprit_build_id = :buildId)
       AND NOT EXISTS (SELECT 1 FROM evaluations n WHERE n.revision_id = e.revision_id AND n.id > e.id)
     ORDER BY id`,
    { buildId },
  );
  return z
    .object({ rows: z.array(z.object({ id: z.number() })) })
    .parse(result)
    .rows.map((row) => row.id);
}
