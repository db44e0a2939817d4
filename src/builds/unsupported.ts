/**
 * Builds that no builder could ever take. A builder counts whether it is there or away: agents come
 * and go, and one that has never been there may be for any system.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { refuseBuilds } from './finish.ts';
import { lockGraphForPlanning } from './graph-lock.ts';

/** SQL: no registered builder can take the build `b`. */
const nobody = `b.system <> 'builtin' AND NOT b.inputs_only AND NOT EXISTS (
  SELECT 1 FROM builders k
  WHERE k.removed_at IS NULL
    AND (k.systems = '{}' OR (b.system = ANY (k.systems) AND b.required_features <@ k.features
                              AND k.mandatory_features <@ b.required_features
                              AND b.trust_domain = ANY (k.trust_domains))))`;

const refusedRows = z.object({
  rows: z.array(z.object({ id: z.number(), system: z.string(), required_features: z.array(z.string()) })),
});

/** Ends those of the builds that nobody can take, and what depends on them. The graph is locked. */
export async function refuseUnsupported(trx: Knex.Transaction, buildIds: readonly number[]): Promise<void> {
  const result: unknown = await trx.raw(
    `SELECT b.id, b.system, b.required_features FROM builds b WHERE b.id = ANY (?) AND ${nobody} ORDER BY b.id`,
    [[...buildIds]],
  );
  await refuse(trx, result);
}

/**
 * The same for builds that have waited for a builder for so many seconds. Returns all builds that
 * ended, for the caller to tell of in the same transaction.
 */
export async function refuseWaiting(trx: Knex.Transaction, seconds: number): Promise<readonly number[]> {
  const waiting: unknown = await trx.raw(
    `SELECT b.id FROM builds b
     WHERE b.state IN ('blocked', 'queued') AND b.created_at < now() - make_interval(secs => ?) AND ${nobody}
     LIMIT 1`,
    [seconds],
  );
  if (z.object({ rows: z.array(z.unknown()) }).parse(waiting).rows.length === 0) return [];
  await lockGraphForPlanning(trx);
  const result: unknown = await trx.raw(
    `SELECT b.id, b.system, b.required_features FROM builds b
     WHERE b.state IN ('blocked', 'queued') AND b.created_at < now() - make_interval(secs => ?) AND ${nobody}
     ORDER BY b.id FOR NO KEY UPDATE`,
    [seconds],
  );
  const ids = await refuse(trx, result);
  const ended: unknown = await trx.raw(
    'SELECT id FROM builds WHERE id = ANY (:ids) OR (culprit_build_id = ANY (:ids) AND finished_at = now())',
    { ids: [...ids] },
  );
  return z
    .object({ rows: z.array(z.object({ id: z.number() })) })
    .parse(ended)
    .rows.map((row) => row.id);
}

async function refuse(trx: Knex.Transaction, result: unknown): Promise<readonly number[]> {
  const { rows } = refusedRows.parse(result);
  const messages = rows.map(({ id, system, required_features }): [number, string] => {
    const features = required_features.length > 0 ? ` with the features ${required_features.join(', ')}` : '';
    return [id, `No builder of this server builds for ${system}${features}.`];
  });
  await refuseBuilds(trx, new Map(messages));
  return rows.map((row) => row.id);
}
