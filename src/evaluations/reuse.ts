/**
 * Evaluations that need not be done again, because one of the same files under the same conditions
 * was done before. What the conditions are, and what is never reused: docs/adr/0009.
 */
import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { BuildWish, EnqueuedBuilds } from '../builds/index.ts';
import { traversalRules } from './evaluators/traversal-rules.ts';
import type { SourceArgument } from './events.ts';
import { jobLimits, maker } from './queue.ts';

/** What decides the result of an evaluation. */
export interface ReuseConditions {
  readonly projectId: number;
  /** Git's hash of the files. */
  readonly tree: string;
  readonly source: SourceArgument;
  readonly trusted: boolean;
  /** Who evaluates, and what of its settings matters. */
  readonly evaluator: readonly string[];
}

export interface ReuseKeys {
  /** For a result that follows from the files alone. */
  readonly ofTree: string;
  /** For one that also follows from which commit it is, or on which branch. */
  readonly ofCommit: string;
}

/** The rules by which jobs are found are a part of the program: another version is another evaluator. */
const noRoot = { file: '', checkout: '', source: { rev: '', ref: '' } };
const rules = [traversalRules(noRoot), traversalRules({ ...noRoot, flake: { reference: '', systems: [] } })];

export function reuseKeys(conditions: ReuseConditions): ReuseKeys {
  const { projectId, tree, trusted, evaluator, source } = conditions;
  const common = [rules, projectId, tree, trusted, evaluator];
  return { ofTree: hash([common]), ofCommit: hash([common, Object.entries(source).sort()]) };
}

function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** When a result may stand for other evaluations of the same key. */
export interface Reuse {
  readonly key: string;
  /** `infinity`, or an interval from now, in PostgreSQL's words. */
  readonly until: 'infinity' | '1 day';
}

/** Lets the result of an evaluation stand for others, or not. */
export async function markReusable(
  trx: Knex.Transaction,
  evaluationId: number,
  reuse: Reuse | undefined,
): Promise<void> {
  const until = reuse?.until === '1 day' ? trx.raw(`now() + interval '1 day'`) : (reuse?.until ?? null);
  await trx('evaluations')
    .where({ id: evaluationId })
    .update({ reuse_key: reuse?.key ?? null, reusable_until: until, reused_from: null });
}

/** The evaluation to stand on: the first one of its kind, which really was done. */
export async function findReusable(db: Knex, keys: ReuseKeys): Promise<number | undefined> {
  const row: unknown = await db('evaluations')
    .select('id')
    .whereIn('reuse_key', [keys.ofTree, keys.ofCommit])
    .where('reusable_until', '>', db.fn.now())
    .orderBy('id')
    .first();
  return row === undefined ? undefined : z.object({ id: z.number() }).parse(row).id;
}

const wishRow = z.object({
  drv_path: z.string(),
  itself: z.boolean(),
  outputs: z.record(z.string(), z.string().nullable()).nullable(),
  limits: jobLimits.nullable(),
});

/** What the jobs of an evaluation wish to be built. */
export async function wishesOf(db: Knex, evaluationId: number): Promise<readonly BuildWish[]> {
  const rows: unknown = await db('jobs')
    .select('drv_path', 'outputs', 'limits', db.raw(`mark <> 'dependencies-only' AS itself`))
    .where({ evaluation_id: evaluationId })
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
  const result: unknown = await trx.raw(
    `UPDATE evaluations e
     SET file = o.file, evaluator = o.evaluator, notices = o.notices, job_count = o.job_count,
         error_count = o.error_count, reuse_key = o.reuse_key, reusable_until = o.reusable_until,
         reused_from = coalesce(o.reused_from, o.id)
     FROM evaluations o WHERE e.id = ? AND o.id = ? AND o.reusable_until > now() RETURNING e.id`,
    [to, from],
  );
  const { rows } = z.object({ rows: z.array(z.unknown()) }).parse(result);
  if (rows.length === 0) return false;
  const whole = [...builds.whole].map(([drvPath, id]) => ({ drvPath, id, inputsOnly: false }));
  const inputsOnly = [...builds.inputsOnly].map(([drvPath, id]) => ({ drvPath, id, inputsOnly: true }));
  const all = [...whole, ...inputsOnly];
  await trx.raw(
    `INSERT INTO jobs (evaluation_id, path, drv_path, name, system, outputs, mark, limits,
                       error, error_file, error_line, error_column, cached, build_id)
     SELECT ?, o.path, o.drv_path, o.name, o.system, o.outputs, o.mark, o.limits,
            o.error, o.error_file, o.error_line, o.error_column,
            o.error IS NULL AND w.id IS NULL,
            CASE WHEN o.error IS NULL THEN coalesce(w.id, ${maker('o.drv_path')}) END
     FROM jobs o
     LEFT JOIN unnest(?::text[], ?::boolean[], ?::bigint[]) AS w (drv_path, inputs_only, id)
       ON w.drv_path = o.drv_path AND w.inputs_only = (o.mark = 'dependencies-only')
     WHERE o.evaluation_id = ? ORDER BY o.id`,
    [
      to,
      all.map(({ drvPath }) => drvPath),
      all.map((build) => build.inputsOnly),
      all.map(({ id }) => id),
      from,
    ],
  );
  return true;
}
