/**
 * What follows from a change of a revision that people can see: its report is planned anew and the
 * pages that show it are told. Always in the transaction that made the change, so neither is ever
 * forgotten nor done for something that was rolled back.
 */
import type { OnRevisionChanged } from '../evaluations/index.ts';
import { addTask, notify } from '../postgres/index.ts';
import { planReportTask } from '../reports/index.ts';
import { revisionChannel } from '../web/index.ts';

/** Progress is told to GitHub this much later, so that a burst of it is one report. */
const progressDelayMs = 500;

/** Starts and ends are reported at once, progress in between soon. */
export const announceRevision: OnRevisionChanged = async (trx, revisionId, urgency) => {
  await addTask(
    trx,
    planReportTask,
    { revisionId },
    urgency === 'now'
      ? { jobKey: `report:${revisionId}` }
      : {
          jobKey: `report:${revisionId}`,
          // A report that is due sooner stays due sooner.
          jobKeyMode: 'preserve_run_at',
          runAt: new Date(Date.now() + progressDelayMs),
        },
  );
  await notify(trx, revisionChannel, String(revisionId));
};
