/**
 * Where the database and a dispatcher disagree on what runs. An answer can be lost with the
 * connection after the claim was committed: the build then belongs to a process that knows nothing
 * of it. And a process that was cut off for long may have been taken for dead: its attempts then
 * belong to nobody.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { buildsChannel } from './channels.ts';

const idRows = z.object({ rows: z.array(z.object({ id: z.number() })) });

export interface Holder {
  readonly processId: number;
  /** Name of the builder. */
  readonly builder: string;
}

/**
 * Gives back the builds of attempts that are said to run here but do not; `running` are the ones
 * that do. Call it while nothing is being claimed for this builder. Returns the builds.
 */
export async function releaseForgotten(
  trx: Knex.Transaction,
  holder: Holder,
  running: readonly number[],
  message = 'The server lost track of this attempt.',
): Promise<readonly number[]> {
  const result: unknown = await trx.raw(
    `WITH forgotten AS (
       UPDATE attempts SET state = 'lost', process_id = NULL, finished_at = now(), log_complete = true,
              message = :message
       WHERE state = 'running' AND process_id = :processId AND builder = :builder
         AND id <> ALL (:running::bigint[])
       RETURNING build_id
     )
     UPDATE builds SET state = 'queued' FROM forgotten
     WHERE builds.id = forgotten.build_id AND builds.state = 'building' RETURNING builds.id`,
    { ...holder, message, running: [...running] },
  );
  const ids = idRows.parse(result).rows.map((row) => row.id);
  if (ids.length > 0) await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
  return ids;
}

/** Those of the attempts that were given to somebody else: what they are doing is for nobody. */
export async function takenAway(db: Knex, attemptIds: readonly number[]): Promise<readonly number[]> {
  if (attemptIds.length === 0) return [];
  const result: unknown = await db.raw(
    `SELECT w.id FROM unnest(?::bigint[]) AS w (id)
     WHERE NOT EXISTS (SELECT 1 FROM attempts a WHERE a.id = w.id AND a.state = 'running')`,
    [[...attemptIds]],
  );
  return idRows.parse(result).rows.map((row) => row.id);
}
