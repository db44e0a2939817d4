/**
 * Evaluations that need not be done again, because one of the same files under the same conditions
 * was done before. What the conditions are, and what is never reused: docs/adr/0009.
 */
import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { z } from 'zod';
import { traversalRules } from './evaluators/traversal-rules.ts';
import type { SourceArgument } from './events.ts';

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

/** Earlier evaluations to stand on. */
export interface Reusable {
  /** The first one of its kind, which really was done. */
  readonly first: number | undefined;
  /** The newest one with a witness: its jobs hang on the newest builds. */
  readonly witnessed: Witnessed | undefined;
}

export interface Witnessed {
  readonly id: number;
  readonly witness: string;
  /** It says nothing of jobs of which only the dependencies are wanted. */
  readonly leavesOut: boolean;
}

const reusableRow = z.object({
  first: z.number().nullable(),
  id: z.number().nullable(),
  witness: z.string().nullable(),
  witness_leaves_out: z.boolean().nullable(),
});

export async function findReusable(db: Knex, keys: ReuseKeys): Promise<Reusable> {
  const holds = 'reuse_key IN (:ofTree, :ofCommit) AND reusable_until > now()';
  const result: unknown = await db.raw(
    `SELECT (SELECT id FROM evaluations WHERE ${holds} ORDER BY id LIMIT 1) AS first, w.*
     FROM (SELECT) once LEFT JOIN (
       SELECT id, witness, witness_leaves_out FROM evaluations
       WHERE ${holds} AND witness IS NOT NULL AND state IN ('succeeded', 'failed')
       ORDER BY id DESC LIMIT 1) w ON true`,
    { ...keys },
  );
  const [row] = z.object({ rows: z.tuple([reusableRow]) }).parse(result).rows;
  const { first, id, witness, witness_leaves_out: leavesOut } = row;
  const witnessed =
    id === null || witness === null || leavesOut === null ? undefined : { id, witness, leavesOut };
  return { first: first ?? undefined, witnessed };
}
