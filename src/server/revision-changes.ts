/**
 * What follows from a change of a revision that people can see: its report is planned anew and the
 * pages that show it are told. Always in the transaction that made the change, so neither is ever
 * forgotten nor done for something that was rolled back.
 */
import { type OnRevisionChanged, revisionChannel } from '../evaluations/index.ts';
import { notify } from '../postgres/index.ts';
import { requestReport } from '../reports/index.ts';

export const announceRevision: OnRevisionChanged = async (trx, revisionId, urgency) => {
  await requestReport(trx, revisionId, urgency);
  await notify(trx, revisionChannel, String(revisionId));
};
