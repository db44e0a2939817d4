/**
 * What a server does every few seconds besides its work: give back what dead processes held, and
 * sweep up what should have been reported but was not.
 */
import { type Logger, messageOf } from '../basics/index.ts';
import { releaseAttempts } from '../builds/index.ts';
import { type OnRevisionChanged, releaseEvaluations, settleAfterBuilds } from '../evaluations/index.ts';
import { type Database, type Knex, reapDeadProcesses } from '../postgres/index.ts';
import { sweepReports } from '../reports/index.ts';

const everyMs = 10_000;

export interface MaintenanceOptions {
  readonly database: Database;
  readonly onRevisionChanged: OnRevisionChanged;
  readonly log: Logger;
}

export interface Maintenance {
  stop(): Promise<void>;
}

/** Does it once, so that a restarted server takes up at once what it left, and then regularly. */
export async function startMaintenance(options: MaintenanceOptions): Promise<Maintenance> {
  let running: Promise<void> = maintain(options);
  await running;
  const timer = setInterval(() => {
    running = running.then(() => maintain(options));
  }, everyMs);
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}

async function maintain(options: MaintenanceOptions): Promise<void> {
  const { database, log, onRevisionChanged } = options;
  try {
    await reapDeadProcesses(database, log, async (dead, trx) => {
      await giveBack(trx, [dead.id], onRevisionChanged);
    });
    // Of processes that are gone without a trace.
    await database.knex.transaction((trx) => giveBack(trx, [], onRevisionChanged));
    await sweepReports(database.knex);
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'maintenance did not get through, to be tried again');
  }
}

async function giveBack(
  trx: Knex.Transaction,
  processIds: readonly number[],
  onRevisionChanged: OnRevisionChanged,
): Promise<void> {
  await releaseEvaluations(trx, processIds, onRevisionChanged);
  const builds = await releaseAttempts(trx, processIds);
  await settleAfterBuilds(trx, builds, onRevisionChanged);
}
