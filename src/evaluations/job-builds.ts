/** What became of the wishes of an evaluation's jobs: each gets its build, or needs none. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type BuildPlan, type EnqueueOptions, enqueueBuilds } from '../builds/index.ts';

/** Gives every job of the evaluation its build; a job that needs none is `cached`. */
export async function hangJobsOnBuilds(
  trx: Knex.Transaction,
  evaluationId: number,
  plan: BuildPlan,
  options: EnqueueOptions = {},
): Promise<void> {
  const builds = await enqueueBuilds(trx, plan.wanted, options);
  const ids = [...builds.whole.values(), ...builds.inputsOnly.values()];
  if (ids.length > 0) await hangOn(trx, evaluationId, ids);
  if (plan.impossible.size > 0) {
    const result: unknown = await trx.raw(
      `UPDATE jobs j SET error = p.reason
       FROM unnest(?::text[], ?::text[]) AS p (drv_path, reason)
       WHERE j.evaluation_id = ? AND j.drv_path = p.drv_path RETURNING j.id`,
      [[...plan.impossible.keys()], [...plan.impossible.values()], evaluationId],
    );
    const { rows } = z.object({ rows: z.array(z.unknown()) }).parse(result);
    await trx('evaluations').where({ id: evaluationId }).increment('error_count', rows.length);
  }
  // All outputs are there or can be fetched; point at the build that made them, if it was ours.
  await trx.raw(
    `UPDATE jobs j SET cached = true, build_id = ${maker('j')}
     WHERE j.evaluation_id = ? AND j.build_id IS NULL AND j.error IS NULL AND NOT j.cached`,
    [evaluationId],
  );
}

/** SQL for the build of ours that made the outputs of a row's derivation; null when none did. */
export function maker(row: 'j' | 'o'): string {
  return `(SELECT b.id FROM builds b WHERE b.drv_path = ${row}.drv_path AND b.state = 'succeeded'
           ORDER BY b.id DESC LIMIT 1)`;
}

async function hangOn(trx: Knex.Transaction, evaluationId: number, ids: readonly number[]): Promise<void> {
  await trx.raw(
    `UPDATE jobs j SET build_id = b.id, cached = false
     FROM unnest(?::bigint[]) AS ids (id) JOIN builds b ON b.id = ids.id
     WHERE j.evaluation_id = ? AND j.drv_path = b.drv_path
       AND b.inputs_only = (j.mark = 'dependencies-only')`,
    [[...ids], evaluationId],
  );
}
