/** The background task that compares an evaluation with the one before it, once. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { addTask, isPassingError } from '../../postgres/index.ts';
import { storableJson } from '../storable-json.ts';
import type { OnRevisionChanged } from '../submit.ts';
import { type Base, findBase } from './base.ts';
import { createCauseFinder, type ReadForCause } from './cause.ts';
import { type ComparedJob, compareJobs, type FoundChange } from './compare.ts';
import { type AttributeChange, attributeChange, changeCounts, type EvaluationChanges } from './types.ts';

/** Its payload is `{ id }`, the evaluation's. */
export const compareTask = 'compare-evaluation';
const payloadShape = z.object({ id: z.number() });

/** To be called in the transaction in which the attributes of an evaluation are known. */
export async function requestComparison(trx: Knex.Transaction, evaluationId: number): Promise<void> {
  await addTask(trx, compareTask, { id: evaluationId }, { jobKey: `compare:${evaluationId}` });
}

export interface ComparisonOptions {
  readonly db: Knex;
  readonly onRevisionChanged: OnRevisionChanged;
  /** Derivations of this machine's store. Opened for each comparison: Nix may be missing, or come. */
  readonly openReader: () => Promise<ReadForCause>;
}

/** Attributes that are kept of a comparison, and bytes of their paths and causes. */
const mostKept = 500;
const mostBytes = 200_000;

/** The task's handler. Safe to repeat. */
export function createComparer(options: ComparisonOptions): (payload: unknown) => Promise<void> {
  const { db, onRevisionChanged } = options;
  return async (payload) => {
    const { id } = payloadShape.parse(payload);
    const base = await findBase(db, id);
    if (!base) return;
    const now = await readJobs(db, id);
    // The evaluation failed as a whole: nothing is known of its attributes.
    if (now.some(({ path, drvPath }) => path.length === 0 && drvPath === undefined)) return;
    const { counts, changes } = compareJobs(await readJobs(db, base.evaluationId), now);
    const attributes = await withCauses(changes.slice(0, mostKept), options);
    await db.transaction((trx) => store(trx, id, base, { counts, attributes }, onRevisionChanged));
  };
}

async function withCauses(
  changes: readonly FoundChange[],
  { openReader }: ComparisonOptions,
): Promise<readonly AttributeChange[]> {
  // Without Nix on this machine the changes are told without their causes.
  const read = await openReader().catch((error: unknown) => {
    if (isPassingError(error)) throw error;
    return async () => undefined;
  });
  const causeOf = createCauseFinder(read);
  const kept: AttributeChange[] = [];
  let bytes = 0;
  for (const { path, kind, derivations } of changes) {
    const cause = derivations && (await causeOf(derivations));
    const change = { path, kind, ...(cause ? { cause } : {}) };
    bytes += JSON.stringify(change).length;
    if (bytes > mostBytes) break;
    kept.push(change);
  }
  return kept;
}

async function store(
  trx: Knex.Transaction,
  id: number,
  base: Base,
  found: Pick<EvaluationChanges, 'counts' | 'attributes'>,
  onRevisionChanged: OnRevisionChanged,
): Promise<void> {
  // History may have removed either meanwhile.
  const result: unknown = await trx.raw(
    `INSERT INTO evaluation_changes (evaluation_id, base_evaluation_id, base_sha, base_branch, counts, attributes)
     SELECT e.id, (SELECT b.id FROM evaluations b WHERE b.id = :base FOR KEY SHARE), :sha, :branch, :counts, :attributes
     FROM evaluations e WHERE e.id = :id
     ON CONFLICT (evaluation_id) DO NOTHING
     RETURNING (SELECT revision_id FROM evaluations WHERE id = evaluation_changes.evaluation_id) AS revision_id`,
    {
      id,
      base: base.evaluationId,
      sha: base.sha,
      branch: base.branch,
      counts: JSON.stringify(found.counts),
      attributes: storableJson(found.attributes),
    },
  );
  const { rows } = z.object({ rows: z.array(z.object({ revision_id: z.number() })) }).parse(result);
  for (const row of rows) await onRevisionChanged(trx, row.revision_id, 'soon');
}

const jobRow = z.object({ path: z.array(z.string()), drv_path: z.string().nullable() });

async function readJobs(db: Knex, evaluationId: number): Promise<readonly ComparedJob[]> {
  const rows: unknown = await db('jobs').select('path', 'drv_path').where({ evaluation_id: evaluationId });
  return z
    .array(jobRow)
    .parse(rows)
    .map(({ path, drv_path }) => ({ path, drvPath: drv_path ?? undefined }));
}

const changesRow = z.object({
  base_sha: z.string(),
  base_branch: z.string(),
  counts: changeCounts,
  attributes: z.array(z.unknown()),
});

/** What is kept of an evaluation's comparison; undefined where there is none, or not yet. */
export async function readChanges(db: Knex, evaluationId: number): Promise<EvaluationChanges | undefined> {
  const found: unknown = await db('evaluation_changes')
    .select('base_sha', 'base_branch', 'counts', 'attributes')
    .where({ evaluation_id: evaluationId })
    .first();
  if (found === undefined) return undefined;
  const row = changesRow.parse(found);
  return {
    baseSha: row.base_sha,
    baseBranch: row.base_branch,
    counts: row.counts,
    // A change of a form this version does not know is left out.
    attributes: row.attributes.flatMap((value) => attributeChange.safeParse(value).data ?? []),
  };
}
