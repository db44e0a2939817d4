/** The background tasks of reports: names, keys and payloads. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { addTask } from '../../postgres/index.ts';

export const planReportTask = 'plan-report';
export const sendReportsTask = 'send-reports';

export const planReportPayload = z.object({ revisionId: z.number() });
export const sendReportsPayload = z.object({ installationId: z.number() });

/** Milliseconds within which changes of one revision become one plan. */
const soonMs = 1_000;

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
      : { jobKey, jobKeyMode: 'preserve_run_at', runAt: new Date(Date.now() + soonMs) },
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
