/**
 * The end of a build and what follows from it for the builds that need it.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { FinishedState } from './states.ts';

export interface BuildEnd {
  readonly state: FinishedState;
  /** Nix's or our words for a bad end; empty for a good one. */
  readonly message: string;
}

const idRows = z.object({ rows: z.array(z.object({ id: z.number() })) });

/**
 * Ends a build: a good end releases the builds that waited for it alone, a bad one ends all that
 * depend on it, however far away, as `dependency-failed` naming the culprit. Returns the ids of all
 * builds that ended with it, itself first; empty when it had ended before.
 *
 * The caller's transaction holds the graph lock, for planning or for finishing.
 */
export async function finishBuild(
  trx: Knex.Transaction,
  buildId: number,
  end: BuildEnd,
): Promise<readonly number[]> {
  const ended = await trx('builds')
    .where({ id: buildId })
    .whereNull('finished_at')
    .update({ state: end.state, message: end.message, finished_at: trx.fn.now() });
  if (ended === 0) return [];
  if (end.state === 'succeeded') {
    return [buildId, ...(await releaseDependents(trx, buildId))];
  }
  return [buildId, ...(await failDependents(trx, buildId))];
}

/**
 * Ends builds that nobody can build, each with its own message, and what depends on them. Statements
 * grow with the builds that others wait for, not with all: a big repository has thousands of jobs
 * for systems that a server does not have.
 */
export async function refuseBuilds(
  trx: Knex.Transaction,
  messages: ReadonlyMap<number, string>,
): Promise<void> {
  if (messages.size === 0) return;
  const ids = [...messages.keys()];
  await trx.raw(
    `UPDATE builds b SET state = 'unsupported-system', message = m.message, finished_at = now()
     FROM unnest(?::bigint[], ?::text[]) AS m (id, message) WHERE b.id = m.id AND b.finished_at IS NULL`,
    [ids, [...messages.values()]],
  );
  await failDependentsOf(trx, ids);
}

/** Ends what depends on builds that ended badly, in as many statements as are needed by others. */
export async function failDependentsOf(trx: Knex.Transaction, buildIds: readonly number[]): Promise<void> {
  const result: unknown = await trx.raw(
    `SELECT DISTINCT e.input_build_id AS id
     FROM build_inputs e JOIN builds d ON d.id = e.build_id AND d.finished_at IS NULL
     WHERE e.input_build_id = ANY (?) ORDER BY id`,
    [[...buildIds]],
  );
  for (const { id } of idRows.parse(result).rows) await failDependents(trx, id);
}

/**
 * Returns those that ended with it: they wanted nothing but their inputs. Rows are locked in the
 * order of their ids, here and below: builds that end at the same time share dependents.
 */
async function releaseDependents(trx: Knex.Transaction, buildId: number): Promise<readonly number[]> {
  await trx.raw(
    `SELECT b.id FROM builds b JOIN build_inputs e ON e.build_id = b.id
     WHERE e.input_build_id = ? AND b.state = 'blocked' ORDER BY b.id FOR NO KEY UPDATE OF b`,
    [buildId],
  );
  const result: unknown = await trx.raw(
    `UPDATE builds SET pending_inputs = pending_inputs - 1,
            state = CASE WHEN pending_inputs > 1 THEN state WHEN inputs_only THEN 'succeeded' ELSE 'queued' END,
            finished_at = CASE WHEN pending_inputs = 1 AND inputs_only THEN now() END
     WHERE id IN (SELECT build_id FROM build_inputs WHERE input_build_id = ?) AND state = 'blocked'
     RETURNING id, finished_at IS NOT NULL AS ended`,
    [buildId],
  );
  const { rows } = z
    .object({ rows: z.array(z.object({ id: z.number(), ended: z.boolean() })) })
    .parse(result);
  return rows.filter((row) => row.ended).map((row) => row.id);
}

async function failDependents(trx: Knex.Transaction, culprit: number): Promise<readonly number[]> {
  const result: unknown = await trx.raw(
    `WITH RECURSIVE doomed (id) AS (
       SELECT build_id FROM build_inputs WHERE input_build_id = :culprit
       UNION
       SELECT e.build_id FROM build_inputs e JOIN doomed d ON e.input_build_id = d.id
     ), locked AS (
       SELECT id FROM builds WHERE id IN (SELECT id FROM doomed) AND finished_at IS NULL
       ORDER BY id FOR NO KEY UPDATE
     )
     UPDATE builds SET state = 'dependency-failed', culprit_build_id = :culprit, finished_at = now(),
            message = (SELECT 'The dependency ' || name || ' did not build.' FROM builds WHERE id = :culprit)
     WHERE id IN (SELECT id FROM locked) AND finished_at IS NULL
     RETURNING id`,
    { culprit },
  );
  return idRows.parse(result).rows.map((row) => row.id);
}
