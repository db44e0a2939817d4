/**
 * Answers an evaluation from an earlier one. Where a witness says that all results of that one are
 * valid, nothing else is asked and nothing planned; else what is missing is worked out and queued.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { BuildPlan, BuildWish, EnqueuedBuilds } from '../builds/index.ts';
import type { Planning } from './planning.ts';
import { jobLimits, maker } from './queue.ts';
import { findReusable, type ReuseKeys } from './reuse.ts';

export type KnownResult =
  | { readonly kind: 'known'; readonly from: number; readonly plan: BuildPlan }
  /** All it found is there. */
  | { readonly kind: 'witnessed'; readonly from: number; readonly witness: string };

/** The result of an earlier evaluation, if its derivations, or what they make, are still there. */
export async function knownResult(
  db: Knex,
  openPlanning: () => Promise<Planning>,
  keys: ReuseKeys,
): Promise<KnownResult | undefined> {
  const { first, witnessed } = await findReusable(db, keys);
  if (first === undefined) return undefined;
  const { planner, witnesses } = await openPlanning();
  if (witnessed && (await witnesses?.holds(witnessed.witness))) {
    const { id: from, witness, leavesOut } = witnessed;
    const rest = leavesOut ? await planner.plan(await wishesOf(db, from, 'dependencies-only')) : undefined;
    if (!rest || rest.wanted.length + rest.impossible.size === 0) return { kind: 'witnessed', from, witness };
  }
  const plan = await planner.plan(await wishesOf(db, first));
  return plan.impossible.size === 0 ? { kind: 'known', from: first, plan } : undefined;
}

const wishRow = z.object({
  drv_path: z.string(),
  itself: z.boolean(),
  outputs: z.record(z.string(), z.string().nullable()).nullable(),
  limits: jobLimits.nullable(),
});

/** What the jobs of an evaluation wish to be built; or those with a mark. */
async function wishesOf(db: Knex, evaluationId: number, mark?: string): Promise<readonly BuildWish[]> {
  const rows: unknown = await db('jobs')
    .select('drv_path', 'outputs', 'limits', db.raw(`mark <> 'dependencies-only' AS itself`))
    .where({ evaluation_id: evaluationId, ...(mark === undefined ? {} : { mark }) })
    .whereNull('error');
  return z
    .array(wishRow)
    .parse(rows)
    .map(({ drv_path, itself, outputs, limits }) => ({
      drvPath: drv_path,
      itself,
      ...(outputs && { outputs }),
      ...(limits && { limits }),
    }));
}

/**
 * Copies the result of one evaluation to another, whose jobs hang on these builds; jobs without one
 * are there already. False when the result does not hold any more.
 */
export async function copyEvaluation(
  trx: Knex.Transaction,
  from: number,
  to: number,
  builds: EnqueuedBuilds,
): Promise<boolean> {
  if (!(await copyHead(trx, { from, to }))) return false;
  const whole = [...builds.whole].map(([drvPath, id]) => ({ drvPath, id, inputsOnly: false }));
  const inputsOnly = [...builds.inputsOnly].map(([drvPath, id]) => ({ drvPath, id, inputsOnly: true }));
  const all = [...whole, ...inputsOnly];
  await copyJobs(trx, {
    ...{ from, to },
    cached: 'w.id IS NULL',
    build: `coalesce(w.id, ${maker('o.drv_path')})`,
    join: `LEFT JOIN unnest(:drvPaths::text[], :inputsOnly::boolean[], :ids::bigint[]) AS w (drv_path, inputs_only, id)
             ON w.drv_path = o.drv_path AND w.inputs_only = (o.mark = 'dependencies-only')`,
    bindings: {
      drvPaths: all.map(({ drvPath }) => drvPath),
      inputsOnly: all.map((build) => build.inputsOnly),
      ids: all.map(({ id }) => id),
    },
  });
  return true;
}

/**
 * Copies the result of an evaluation whose witness holds, and its end: nothing failed there but what
 * fails here, and nothing is to be built. False when the result does not hold any more.
 */
export async function copyWitnessed(
  trx: Knex.Transaction,
  to: number,
  { from, witness }: { readonly from: number; readonly witness: string },
): Promise<boolean> {
  const alsoSet = `, witness = o.witness, witness_leaves_out = o.witness_leaves_out, state = o.state,
               evaluated_at = now(), finished_at = now(), process_id = NULL`;
  if (!(await copyHead(trx, { from, to, alsoSet, witness }))) return false;
  // What an earlier, interrupted try has left; the rest of that was overwritten now.
  await trx('jobs').where({ evaluation_id: to }).delete();
  // What has a witness was cached, or built by the build that it hangs on.
  await copyJobs(trx, { from, to, cached: 'true', build: 'o.build_id', join: '', bindings: {} });
  return true;
}

interface Copy {
  readonly from: number;
  readonly to: number;
}

/** Copies what is known of the evaluation itself, and keeps history from removing the other one. */
async function copyHead(
  trx: Knex.Transaction,
  { from, to, alsoSet = '', witness }: Copy & { readonly alsoSet?: string; readonly witness?: string },
): Promise<boolean> {
  const result: unknown = await trx.raw(
    `UPDATE evaluations e
     SET file = o.file, evaluator = o.evaluator, notices = o.notices, job_count = o.job_count,
         error_count = o.error_count, reuse_key = o.reuse_key, reusable_until = o.reusable_until,
         reused_from = coalesce(o.reused_from, o.id)${alsoSet}
     FROM (SELECT * FROM evaluations WHERE id = :from AND reusable_until > now()
             AND (CAST(:witness AS text) IS NULL OR (witness = :witness AND state IN ('succeeded', 'failed')))
           FOR KEY SHARE) o
     WHERE e.id = :to RETURNING e.id`,
    { from, to, witness: witness ?? null },
  );
  return z.object({ rows: z.array(z.unknown()) }).parse(result).rows.length > 0;
}

interface JobsCopy extends Copy {
  /** SQL over `o`, the job that is copied, and what is joined. */
  readonly cached: string;
  readonly build: string;
  readonly join: string;
  readonly bindings: Readonly<Record<string, readonly (string | number | boolean)[]>>;
}

async function copyJobs(
  trx: Knex.Transaction,
  { from, to, cached, build, join, bindings }: JobsCopy,
): Promise<void> {
  await trx.raw(
    `INSERT INTO jobs (evaluation_id, path, drv_path, name, system, outputs, mark, limits,
                       error, error_file, error_line, error_column, cached, build_id)
     SELECT :to, o.path, o.drv_path, o.name, o.system, o.outputs, o.mark, o.limits,
            o.error, o.error_file, o.error_line, o.error_column,
            o.error IS NULL AND ${cached}, CASE WHEN o.error IS NULL THEN ${build} END
     FROM jobs o ${join}
     WHERE o.evaluation_id = :from ORDER BY o.id`,
    { ...bindings, from, to },
  );
}
