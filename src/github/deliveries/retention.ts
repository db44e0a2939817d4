/**
 * Deliveries are kept for looking into what happened, and to know a redelivery when it comes, which
 * GitHub allows for three days.
 */
import type { Knex } from '../../postgres/index.ts';

const keepDays = 30;
/** At a time, so that no transaction is long. Called every few seconds, that keeps up with any server. */
const batch = 1_000;

/** Days after which GitHub would not bring a delivery again anyway. */
const redeliveryDays = 7;

/** Removes some of those that were worked off long ago; returns how many. */
export async function removeOldDeliveries(db: Knex): Promise<number> {
  await db('redeliveries')
    .where('asked_at', '<', db.raw('now() - make_interval(days => ?)', [redeliveryDays]))
    .delete();
  return db('deliveries')
    .whereIn('id', (query) =>
      query
        .select('id')
        .from('deliveries')
        .where('received_at', '<', db.raw('now() - make_interval(days => ?)', [keepDays]))
        .andWhere('processed_at', '<', db.raw('now() - make_interval(days => ?)', [keepDays]))
        .orderBy('received_at')
        .limit(batch),
    )
    .delete();
}
