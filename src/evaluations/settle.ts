/**
 * The end of an evaluation: when the last build of its jobs has ended, it succeeded or failed.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { OnRevisionChanged } from './submit.ts';
import { requestWitness } from './witnesses.ts';

const settledRow = z.object({ id: z.number(), job_count: z.number(), standing: z.boolean() });
const evaluationRow = z.object({ id: z.number(), revision_id: z.number() });

/**
 * To be called in the transaction that finished some builds. Settles the evaluations that waited
 * for them and tells of the change of all that hang on them.
 */
export async function settleAfterBuilds(
  trx: Knex.Transaction,
  buildIds: readonly number[],
  onRevisionChanged: OnRevisionChanged,
): Promise<void> {
  if (buildIds.length === 0) return;
  const rows: unknown = await trx('evaluations')
    .distinct('evaluations.id', 'evaluations.revision_id')
    .join('jobs', 'jobs.evaluation_id', 'evaluations.id')
    .whereIn('jobs.build_id', [...buildIds])
    .whereNull('evaluations.finished_at')
    .orderBy('evaluations.id');
  const touched = z.array(evaluationRow).parse(rows);
  const settled = await settle(
    trx,
    touched.map((row) => row.id),
  );
  for (const row of touched) {
    await onRevisionChanged(trx, row.revision_id, settled.has(row.id) ? 'now' : 'soon');
  }
}

/**
 * Ends those of the given evaluations that have nothing left to wait for; returns their ids.
 *
 * The rows are locked before the builds are looked at: of two transactions that finish the last two
 * builds at the same time, the second then sees the first one's and settles.
 */
export async function settle(
  trx: Knex.Transaction,
  evaluationIds: readonly number[],
): Promise<ReadonlySet<number>> {
  if (evaluationIds.length === 0) return new Set();
  await trx('evaluations')
    .select('id')
    .whereIn('id', [...evaluationIds])
    // One that is still being evaluated is not waited for: whoever evaluates it holds its row.
    .andWhere('state', 'building')
    .orderBy('id')
    .forUpdate();
  const result: unknown = await trx.raw(
    `UPDATE evaluations e
     SET finished_at = now(),
         state = CASE WHEN e.error_count > 0 OR EXISTS (
             SELECT 1 FROM jobs j LEFT JOIN builds b ON b.id = j.build_id
             WHERE j.evaluation_id = e.id AND j.error IS NULL AND j.mark <> 'may-fail'
               AND (j.cached OR b.state IS DISTINCT FROM 'cancelled')
               AND (coalesce(j.cached OR b.state = 'succeeded', false) = (j.mark = 'must-fail'))
           ) THEN 'failed' WHEN EXISTS (
             SELECT 1 FROM jobs j JOIN builds b ON b.id = j.build_id
             WHERE j.evaluation_id = e.id AND NOT j.cached AND b.state = 'cancelled'
           ) THEN 'cancelled' ELSE 'succeeded' END
     WHERE e.id = ANY (?) AND e.state = 'building'
       AND NOT EXISTS (SELECT 1 FROM jobs j JOIN builds b ON b.id = j.build_id
                       WHERE j.evaluation_id = e.id AND NOT j.cached AND b.finished_at IS NULL)
     RETURNING e.id, e.job_count, e.reuse_key IS NOT NULL AS standing`,
    [[...evaluationIds]],
  );
  const { rows } = z.object({ rows: z.array(settledRow) }).parse(result);
  for (const { id, job_count, standing } of rows) {
    if (standing) await requestWitness(trx, { id, jobCount: job_count });
  }
  return new Set(rows.map((row) => row.id));
}
