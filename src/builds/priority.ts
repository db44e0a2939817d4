/** Letting a build go first. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { buildsChannel } from './channels.ts';

/** What one bump adds. Builds without any have 0. */
export const bumpStep = 10;

/**
 * Puts an unfinished build, and all it still waits for, before others. Returns how many builds that
 * are; 0 when it has ended. Each call adds to what was there.
 */
export async function bumpPriority(trx: Knex.Transaction, buildId: number): Promise<number> {
  const result: unknown = await trx.raw(
    `WITH RECURSIVE below (id) AS (
       SELECT id FROM builds WHERE id = :buildId AND finished_at IS NULL
       UNION
       SELECT e.input_build_id FROM below JOIN build_inputs e ON e.build_id = below.id
       JOIN builds b ON b.id = e.input_build_id AND b.finished_at IS NULL
     ), locked AS (
       SELECT id FROM builds WHERE id IN (SELECT id FROM below) AND finished_at IS NULL
       ORDER BY id FOR NO KEY UPDATE
     )
     UPDATE builds SET priority = least(priority + :step, 1000000) WHERE id IN (SELECT id FROM locked)
     RETURNING id`,
    { buildId, step: bumpStep },
  );
  const { rows } = z.object({ rows: z.array(z.unknown()) }).parse(result);
  if (rows.length > 0) await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
  return rows.length;
}
