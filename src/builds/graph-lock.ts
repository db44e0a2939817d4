/**
 * Planning and finishing both count the inputs a build still waits for. Planning reads which inputs
 * are unfinished and then writes counts; a build that finished in between would be waited for for
 * ever. So planning excludes finishing, while any number of builds may finish at the same time
 * (their row locks order the decrements).
 */
import type { Knex } from 'knex';

/** Arbitrary, but the same in every process on one database. */
const graphLock = 7_464_100_001;

export async function lockGraphForPlanning(trx: Knex.Transaction): Promise<void> {
  await trx.raw('SELECT pg_advisory_xact_lock(?)', [graphLock]);
}

export async function lockGraphForFinishing(trx: Knex.Transaction): Promise<void> {
  await trx.raw('SELECT pg_advisory_xact_lock_shared(?)', [graphLock]);
}
