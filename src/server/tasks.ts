/** The background tasks: working off deliveries, planning and sending reports. */

import { z } from 'zod';
import type { Logger } from '../basics/index.ts';
import { createSubmitRevision, supersedeEvaluations, supersedeTask } from '../evaluations/index.ts';
import {
  createDeliveryProcessor,
  createReportTransport,
  type GitHubApp,
  processDeliveryTask,
} from '../github/index.ts';
import { type Database, startTaskRunner, type TaskRunner } from '../postgres/index.ts';
import { createReportTasks } from '../reports/index.ts';
import { announceRevision } from './revision-changes.ts';
import type { ServerSettings } from './settings.ts';

export interface TasksOptions {
  readonly settings: ServerSettings;
  readonly database: Database;
  readonly workerId: string;
  readonly github: GitHubApp | undefined;
  readonly publicUrl: string;
  readonly log: Logger;
}

const supersedePayload = z.object({ id: z.number() });

/** Sending waits for GitHub, so more tasks than cores run at a time. */
const concurrency = 6;

export function startTasks(options: TasksOptions): TaskRunner {
  const { database, github, log } = options;
  const db = database.knex;
  const process = createDeliveryProcessor({ db, submit: createSubmitRevision(announceRevision), log });
  // Without credentials nothing comes in, and what is still to be sent waits for them.
  const reports = github
    ? createReportTasks({
        db,
        transport: createReportTransport(github, log),
        log,
        planOptions: () => ({
          publicUrl: options.publicUrl,
          statuses: options.settings.config.reports.statuses,
        }),
      })
    : {};
  return startTaskRunner({
    database,
    workerId: options.workerId,
    concurrency,
    handlers: {
      [processDeliveryTask]: process,
      [supersedeTask]: async (payload) => {
        const { id } = supersedePayload.parse(payload);
        const defaultBranch = options.settings.config.builds.supersedeDefaultBranch;
        const cancelled = await db.transaction((trx) =>
          supersedeEvaluations(trx, id, { defaultBranch, onRevisionChanged: announceRevision }),
        );
        if (cancelled.length > 0)
          log.info({ evaluation: id, cancelled }, 'cancelled what a newer commit replaces');
      },
      ...reports,
    },
    log,
  });
}
