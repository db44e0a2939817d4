/**
 * What a server does every few seconds besides its work: give back what dead processes held, and
 * sweep up what should have been reported but was not.
 */
import { type Logger, messageOf } from '../basics/index.ts';
import {
  endCancelledInQueue,
  endForsaken,
  refuseWaiting,
  releaseAttempts,
  releaseImports,
  removeOldHistory,
} from '../builds/index.ts';
import {
  forgetOldPaths,
  type OnRevisionChanged,
  releaseEvaluations,
  settleAfterBuilds,
} from '../evaluations/index.ts';
import { endForsakenApplications, removeOldDeliveries } from '../github/index.ts';
import { packLogs } from '../logs/index.ts';
import {
  type Database,
  deadAfterSeconds,
  isConnectionError,
  type Knex,
  reapDeadProcesses,
} from '../postgres/index.ts';
import { sweepReports } from '../reports/index.ts';

const everyMs = 10_000;
/** Logs packed each time: more than a busy server writes meanwhile. */
const logsAtOnce = 200;

export interface MaintenanceOptions {
  readonly database: Database;
  readonly onRevisionChanged: OnRevisionChanged;
  /** Seconds that builds wait for a builder that could do them; 0: they were refused at once. */
  readonly unsupportedTimeoutSeconds: number;
  /** Seconds that builds wait for a machine to come back after one was lost with them. */
  readonly lostTimeoutSeconds: number;
  /** Days after which evaluations, builds and logs are removed; 0: never. */
  readonly historyDays: number;
  readonly log: Logger;
}

export interface Maintenance {
  stop(): Promise<void>;
}

/** Does it once, so that a restarted server takes up at once what it left, and then regularly. */
export async function startMaintenance(options: MaintenanceOptions): Promise<Maintenance> {
  const { log } = options;
  /** Since when the database has answered every time; milliseconds. */
  let steadySince: number | undefined = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;

  async function once(): Promise<void> {
    const now = performance.now();
    try {
      const silenceIsDeath = steadySince !== undefined && now - steadySince > deadAfterSeconds * 1000;
      await maintain(options, silenceIsDeath);
      steadySince ??= now;
    } catch (error) {
      if (isConnectionError(error)) steadySince = undefined;
      log.warn({ reason: messageOf(error) }, 'maintenance did not get through, to be tried again');
    }
  }

  await once();
  const timer = setInterval(() => {
    running ??= once().finally(() => {
      running = undefined;
    });
  }, everyMs);
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}

async function maintain(options: MaintenanceOptions, silenceIsDeath: boolean): Promise<void> {
  const { database, log, onRevisionChanged } = options;
  await reapDeadProcesses(database, log, (dead, trx) => giveBack(trx, [dead.id], onRevisionChanged), {
    silenceIsDeath,
  });
  // Of processes that are gone without a trace.
  await database.knex.transaction((trx) => giveBack(trx, [], onRevisionChanged));
  await database.knex.transaction(async (trx) => {
    await settleAfterBuilds(trx, await releaseImports(trx), onRevisionChanged);
  });
  await database.knex.transaction(async (trx) => {
    await settleAfterBuilds(trx, await endCancelledInQueue(trx), onRevisionChanged);
  });
  await database.knex.transaction(async (trx) => {
    await settleAfterBuilds(trx, await endForsaken(trx, options.lostTimeoutSeconds), onRevisionChanged);
  });
  if (options.unsupportedTimeoutSeconds > 0) {
    await database.knex.transaction(async (trx) => {
      const refused = await refuseWaiting(trx, options.unsupportedTimeoutSeconds);
      await settleAfterBuilds(trx, refused, onRevisionChanged);
    });
  }
  await database.knex.transaction((trx) => endForsakenApplications(trx, onRevisionChanged));
  await sweepReports(database.knex);
  await removeOldDeliveries(database.knex);
  await packLogs(database.knex, logsAtOnce);
  await removeOldHistory(database.knex, options.historyDays);
  await forgetOldPaths(database.knex, options.historyDays);
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
