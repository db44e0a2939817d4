/** The background tasks of reports: names, keys and payloads. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { addTask } from '../../postgres/index.ts';

export const planReportTask = 'plan-report';
export const sendReportsTask = 'send-reports';

export const planReportPayload = z.object({ revisionId: z.number() });
export const sendReportsPayload = z.object({ installationId: z.number() });

/**
 * Milliseconds within which changes of one revision become one plan, and more for each of its jobs: all of
 * them are counted for a plan. 20,000 are planned every 5 s, and GitHub is told every 10 s at most.
 */
const soonMs = { least: 1_000, eachJob: 0.2, most: 10_000 } as const;

const countsRow = z.object({ job_count: z.number(), error_count: z.number() });

async function soonFor(trx: Knex, revisionId: number): Promise<number> {
  const found: unknown = await trx('evaluations')
    .select('job_count', 'error_count')
    .where({ revision_id: revisionId })
    .orderBy('id', 'desc')
    .first();
  const { job_count, error_count } = countsRow.parse(found ?? { job_count: 0, error_count: 0 });
  const jobs = job_count + error_count;
  return Math.min(soonMs.most, soonMs.least + jobs * soonMs.eachJob);
}

/**
 * Asks for a revision's report to be planned anew, in the transaction that changed it. `soon` is for
 * changes that come in crowds: it waits a moment for more of them, and never delays a `now`.
 */
export async function requestReport(
  trx: Knex,
  revisionId: number,
  urgency: 'now' | 'soon' = 'now',
): Promise<void> {
  const jobKey = `report:${revisionId}`;
  await addTask(
    trx,
    planReportTask,
    { revisionId },
    urgency === 'now'
      ? { jobKey }
      : {
          jobKey,
          jobKeyMode: 'preserve_run_at',
          runAt: new Date(Date.now() + (await soonFor(trx, revisionId))),
        },
  );
}

/** Asks for an installation's unsent reports to be sent. One such task runs at a time. */
export async function requestSending(trx: Knex, installationId: number): Promise<void> {
  await addTask(
    trx,
    sendReportsTask,
    { installationId },
    { jobKey: `${sendReportsTask}:${installationId}`, queueName: queueOf(installationId) },
  );
}

/** The same at a later time. A key of its own: it must not delay what is asked for now. */
export async function requestSendingAt(db: Knex, installationId: number, at: Date): Promise<void> {
  await addTask(
    db,
    sendReportsTask,
    { installationId },
    {
      jobKey: `${sendReportsTask}-later:${installationId}`,
      queueName: queueOf(installationId),
      runAt: at,
    },
  );
}

function queueOf(installationId: number): string {
  return `reports:${installationId}`;
}
