/**
 * Cancelling builds. What does not run yet ends at once; what runs is asked to stop, and ends when
 * its builder has (`cancel_requested_at`, until then somebody may want it after all).
 *
 *     blocked, queued ──asked──> cancelled
 *     building ──asked──> building, cancel requested ──builder stopped──> cancelled
 *                                  └──wanted again──> building (or queued, when it had stopped)
 *
 * Locks are taken in the order graph, builds, evaluations.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { buildsChannel, cancelChannel } from './channels.ts';
import { lockGraphForFinishing, lockGraphForPlanning } from './graph-lock.ts';

const idRows = z.object({ rows: z.array(z.object({ id: z.number() })) });

/**
 * Cancels a build whoever wants it, what depends on it, and what of its inputs nobody else needs.
 * Returns the builds that ended; those that ran end later. Does nothing to a finished build.
 */
export async function cancelBuilds(
  trx: Knex.Transaction,
  buildIds: readonly number[],
  why: string,
): Promise<readonly number[]> {
  await lockGraphForPlanning(trx);
  const result: unknown = await trx.raw(
    `WITH RECURSIVE doomed (id, root) AS (
       SELECT id, id FROM builds WHERE id = ANY (?) AND finished_at IS NULL
       UNION
       SELECT e.build_id, d.root FROM doomed d JOIN build_inputs e ON e.input_build_id = d.id
       JOIN builds b ON b.id = e.build_id AND b.finished_at IS NULL
     ) SELECT id, min(root) AS root FROM doomed GROUP BY id`,
    [[...buildIds]],
  );
  const unfinished = z
    .object({ rows: z.array(z.object({ id: z.number(), root: z.number() })) })
    .parse(result).rows;
  const asked = new Set(buildIds);
  const roots = unfinished.map(({ id }) => id).filter((id) => asked.has(id));
  const doomed = unfinished.filter(({ id }) => !asked.has(id));
  const unneeded = await unneededAmong(trx, [...roots, ...doomed.map(({ id }) => id)], []);
  const ended = await stop(trx, [...roots, ...unneeded], why);
  return [...ended, ...(await stopDependents(trx, doomed))];
}

/**
 * Cancels the unfinished builds of evaluations that no other unfinished evaluation needs. The
 * evaluations themselves are the caller's, who ends them after this. Returns the builds that ended.
 */
export async function cancelBuildsOf(
  trx: Knex.Transaction,
  evaluationIds: readonly number[],
  why: string,
): Promise<readonly number[]> {
  await lockGraphForPlanning(trx);
  return stop(trx, await unneededAmong(trx, [], evaluationIds), why);
}

/**
 * Unfinished builds that are needed only by `doomed` builds and by jobs of the `ending` evaluations.
 * Looked for from those downwards, so that the rest of the queue costs nothing.
 */
async function unneededAmong(
  trx: Knex.Transaction,
  doomed: readonly number[],
  ending: readonly number[],
): Promise<readonly number[]> {
  const result: unknown = await trx.raw(
    `WITH RECURSIVE doomed (id) AS (SELECT unnest(:doomed::bigint[])),
     below (id) AS (
       SELECT b.id FROM jobs j JOIN builds b ON b.id = j.build_id AND b.finished_at IS NULL
       WHERE j.evaluation_id = ANY (:ending::bigint[])
       UNION SELECT id FROM doomed
       UNION
       SELECT e.input_build_id FROM below JOIN build_inputs e ON e.build_id = below.id
       JOIN builds b ON b.id = e.input_build_id AND b.finished_at IS NULL
     ),
     candidates (id) AS (SELECT id FROM below EXCEPT SELECT id FROM doomed),
     needed (id) AS (
       SELECT c.id FROM candidates c
       WHERE EXISTS (SELECT 1 FROM jobs j JOIN evaluations v ON v.id = j.evaluation_id
                     WHERE j.build_id = c.id AND v.finished_at IS NULL AND v.id <> ALL (:ending::bigint[]))
          OR EXISTS (SELECT 1 FROM build_inputs e JOIN builds d ON d.id = e.build_id
                     WHERE e.input_build_id = c.id AND d.finished_at IS NULL
                       AND NOT EXISTS (SELECT 1 FROM below WHERE below.id = d.id))
       UNION
       SELECT e.input_build_id FROM needed JOIN build_inputs e ON e.build_id = needed.id
       JOIN candidates c ON c.id = e.input_build_id
     )
     SELECT id FROM candidates EXCEPT SELECT id FROM needed ORDER BY id`,
    { doomed: [...doomed], ending: [...ending] },
  );
  return idRows.parse(result).rows.map((row) => row.id);
}

/** Ends what does not run, asks for the end of what does; returns those that ended. */
async function stop(
  trx: Knex.Transaction,
  buildIds: readonly number[],
  why: string,
): Promise<readonly number[]> {
  return stopEach(
    trx,
    buildIds.map((id) => ({ id, why, culprit: null })),
  );
}

async function stopDependents(
  trx: Knex.Transaction,
  doomed: readonly { readonly id: number; readonly root: number }[],
): Promise<readonly number[]> {
  const rows: unknown = await trx('builds')
    .select('id', 'name')
    .whereIn('id', [...new Set(doomed.map(({ root }) => root))]);
  const names = new Map(
    z
      .array(z.object({ id: z.number(), name: z.string() }))
      .parse(rows)
      .map((row) => [row.id, row.name]),
  );
  return stopEach(
    trx,
    doomed.map(({ id, root }) => ({
      id,
      why: `Its dependency ${names.get(root) ?? root} was cancelled.`,
      culprit: root,
    })),
  );
}

async function stopEach(
  trx: Knex.Transaction,
  ends: readonly { readonly id: number; readonly why: string; readonly culprit: number | null }[],
): Promise<readonly number[]> {
  if (ends.length === 0) return [];
  const ids = ends.map(({ id }) => id);
  // A claim that is under way is waited for: then the build runs, and is asked to stop.
  await trx.raw(
    'SELECT id FROM builds WHERE id = ANY (?) AND finished_at IS NULL ORDER BY id FOR NO KEY UPDATE',
    [ids],
  );
  const result: unknown = await trx.raw(
    `UPDATE builds b SET
       state = CASE WHEN b.state = 'building' THEN b.state ELSE 'cancelled' END,
       finished_at = CASE WHEN b.state = 'building' THEN NULL ELSE now() END,
       message = CASE WHEN b.state = 'building' THEN b.message ELSE c.why END,
       cancel_requested_at = coalesce(b.cancel_requested_at, now()),
       cancel_reason = coalesce(b.cancel_reason, c.why),
       culprit_build_id = nullif(c.culprit, 0)
     FROM unnest(?::bigint[], ?::text[], ?::bigint[]) AS c (id, why, culprit)
     WHERE b.id = c.id AND b.finished_at IS NULL
     RETURNING b.id, b.finished_at IS NOT NULL AS ended`,
    [ids, ends.map(({ why }) => why), ends.map(({ culprit }) => culprit ?? 0)],
  );
  const { rows } = z
    .object({ rows: z.array(z.object({ id: z.number(), ended: z.boolean() })) })
    .parse(result);
  await trx.raw('SELECT pg_notify(?, ?), pg_notify(?, ?)', [cancelChannel, '', buildsChannel, '']);
  return rows.filter((row) => row.ended).map((row) => row.id);
}

/** Those of the attempts whose builds are to be cancelled: their builders must stop. */
export async function cancelRequested(db: Knex, attemptIds: readonly number[]): Promise<readonly number[]> {
  if (attemptIds.length === 0) return [];
  const result: unknown = await db.raw(
    `SELECT a.id FROM attempts a JOIN builds b ON b.id = a.build_id
     LEFT JOIN build_checks c ON c.id = a.check_id
     WHERE a.id = ANY (?) AND a.state = 'running'
       AND CASE WHEN a.check_id IS NULL THEN b.cancel_requested_at IS NOT NULL ELSE c.finished_at IS NOT NULL END`,
    [[...attemptIds]],
  );
  return idRows.parse(result).rows.map((row) => row.id);
}

/** Why the builds of some attempts are to be cancelled, of those that are, by attempt. */
export async function cancelReasons(
  db: Knex,
  attemptIds: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const ids = await cancelRequested(db, attemptIds);
  if (ids.length === 0) return new Map();
  const found: unknown = await db('attempts')
    .join('builds', 'builds.id', 'attempts.build_id')
    .whereIn('attempts.id', [...ids])
    .select('attempts.id', db.raw(`coalesce(builds.cancel_reason, 'Cancelled.') AS why`));
  const rows = z.array(z.object({ id: z.number(), why: z.string() })).parse(found);
  return new Map(rows.map(({ id, why }) => [id, why]));
}

/** Why a build is to be cancelled; undefined when it is not, or not any more. */
export async function cancelReason(trx: Knex.Transaction, buildId: number): Promise<string | undefined> {
  const row: unknown = await trx('builds')
    .select('cancel_reason')
    .where({ id: buildId })
    .whereNotNull('cancel_requested_at')
    .first();
  if (row === undefined) return undefined;
  return z.object({ cancel_reason: z.string().nullable() }).parse(row).cancel_reason ?? 'Cancelled.';
}

/** Builds that somebody wants after all: what was asked before does not hold any more. */
export async function takeBackCancelRequests(
  trx: Knex.Transaction,
  buildIds: readonly number[],
): Promise<void> {
  await trx.raw(
    `UPDATE builds SET cancel_requested_at = NULL, cancel_reason = NULL, culprit_build_id = NULL
     WHERE id IN (SELECT id FROM builds WHERE id = ANY (?) AND finished_at IS NULL
                  AND cancel_requested_at IS NOT NULL ORDER BY id FOR NO KEY UPDATE)`,
    [[...buildIds]],
  );
}

/**
 * Ends builds that were to be cancelled and came back into the queue, because their builder was lost
 * while it was asked to stop. Returns those that ended. To be called now and then.
 */
export async function endCancelledInQueue(trx: Knex.Transaction): Promise<readonly number[]> {
  const stranded = () =>
    trx('builds').whereNotNull('cancel_requested_at').whereNull('finished_at').where({ state: 'queued' });
  // Nearly always there is none, and then nobody is kept waiting.
  if ((await stranded().select('id').first()) === undefined) return [];
  await lockGraphForFinishing(trx);
  const ids: number[] = await stranded().orderBy('id').forNoKeyUpdate().pluck('id');
  await trx('builds')
    .whereIn('id', ids)
    .update({
      state: 'cancelled',
      finished_at: trx.fn.now(),
      message: trx.raw(`coalesce(cancel_reason, '')`),
    });
  return ids;
}
