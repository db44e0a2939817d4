/** The background tasks: working off deliveries, planning and sending reports. */

import { z } from 'zod';
import { type Logger, messageOf } from '../basics/index.ts';
import {
  compareTask,
  createComparer,
  createSubmitRevision,
  createWitnessMaker,
  supersedeEvaluations,
  supersedeTask,
  witnessTask,
} from '../evaluations/index.ts';
import {
  applyHashTask,
  createAnswerTeller,
  createCommitPermission,
  createDeliveryProcessor,
  createDeliverySweeper,
  createHashApplier,
  createQuestions,
  createReportTransport,
  type GitHubApp,
  processDeliveryTask,
  requestDeliverySweep,
  sweepDeliveriesTask,
  tellAnswersTask,
} from '../github/index.ts';
import { readDerivation } from '../nix/index.ts';
import { announce, createNotificationSender, sendNotificationTask } from '../notifications/index.ts';
import { type Database, startTaskRunner, type TaskRunner } from '../postgres/index.ts';
import type { Checkouts } from '../projects/index.ts';
import {
  createGovernor,
  createPlaceFinder,
  createReconciler,
  createReportTasks,
  findPlacesTask,
  reconcileTask,
  requestReconciling,
} from '../reports/index.ts';
import type { WorkingNix } from './nix-machine.ts';
import { announceRevision } from './revision-changes.ts';
import type { ServerSettings } from './settings.ts';

export interface TasksOptions {
  readonly settings: ServerSettings;
  readonly database: Database;
  readonly workerId: string;
  readonly github: GitHubApp | undefined;
  readonly checkouts: Checkouts;
  readonly publicUrl: string;
  /** Of this machine; rejects where it has none. */
  readonly nix: () => Promise<Pick<WorkingNix, 'nix' | 'witnesses'>>;
  readonly log: Logger;
}

const supersedePayload = z.object({ id: z.number() });

/** Milliseconds after a start: what was left unsent is sent first. */
const firstLookMs = 60_000;

/** Sending waits for GitHub, so more tasks than cores run at a time. */
const concurrency = 6;

export function startTasks(options: TasksOptions): TaskRunner {
  const { database, github, log } = options;
  const db = database.knex;
  const questions = github && createQuestions(github, log);
  const process = createDeliveryProcessor({
    db,
    submit: createSubmitRevision(announceRevision),
    onRevisionChanged: announceRevision,
    questions,
    appId: github?.appId,
    commandWord: options.settings.config.github.commandWord,
    log,
  });
  const governor = createGovernor(db);
  const transport = github && createReportTransport(github, log);
  const places = createPlaceFinder({ db, checkouts: options.checkouts, log });
  const learnPermission = github && createCommitPermission({ db, app: github, log });
  const targets = options.settings.config.notifications;
  // Without credentials nothing comes in, and what is still to be sent waits for them.
  const reports = transport
    ? createReportTasks({
        db,
        transport,
        governor,
        log,
        onPlanned: (revisionId) => announce({ db, targets, publicUrl: options.publicUrl }, revisionId),
        supply: async (revisionId, { attempts, mayCommit, installationId }) => {
          if (attempts.length > 0) await places.find(revisionId, attempts);
          if (mayCommit) await learnPermission?.(installationId);
        },
        planOptions: () => ({
          publicUrl: options.publicUrl,
          statuses: options.settings.config.reports.statuses,
          approveComment: `${options.settings.config.github.commandWord} approve`,
        }),
      })
    : {};
  const answers =
    github && transport && questions
      ? {
          [tellAnswersTask]: createAnswerTeller({ db, app: github, governor, log }),
          [applyHashTask]: createHashApplier({
            ...{ db, app: github, questions, governor, log },
            checkouts: options.checkouts,
            onRevisionChanged: announceRevision,
          }),
          [sweepDeliveriesTask]: createDeliverySweeper({ db, app: github, log }),
          [reconcileTask]: createReconciler({ db, transport, log }),
        }
      : {};
  if (github) {
    Promise.all([requestDeliverySweep(db), requestReconciling(db, new Date(Date.now() + firstLookMs))]).catch(
      (error: unknown) => {
        log.warn({ reason: messageOf(error) }, 'failed deliveries are not looked for yet');
      },
    );
  }
  return startTaskRunner({
    database,
    workerId: options.workerId,
    concurrency,
    handlers: {
      [processDeliveryTask]: process,
      [findPlacesTask]: places.findAgain,
      [sendNotificationTask]: createNotificationSender(targets, log),
      ...answers,
      [supersedeTask]: async (payload) => {
        const { id } = supersedePayload.parse(payload);
        const defaultBranch = options.settings.config.builds.supersedeDefaultBranch;
        const cancelled = await db.transaction((trx) =>
          supersedeEvaluations(trx, id, { defaultBranch, onRevisionChanged: announceRevision }),
        );
        if (cancelled.length > 0)
          log.info({ evaluation: id, cancelled }, 'cancelled what a newer commit replaces');
      },
      [compareTask]: createComparer({
        db,
        onRevisionChanged: announceRevision,
        openReader: async () => {
          const { layout } = (await options.nix()).nix;
          // Most derivations are never written: what is not there gives no cause.
          return (drvPath) => readDerivation(layout, drvPath).catch(() => undefined);
        },
      }),
      [witnessTask]: createWitnessMaker({ db, witnesses: async () => (await options.nix()).witnesses }),
      ...reports,
    },
    log,
  });
}
