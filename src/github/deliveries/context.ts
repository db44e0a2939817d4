import type { SubmitRevision } from '../../evaluations/index.ts';
import type { Knex } from '../../postgres/index.ts';

/** What handlers of deliveries work with. */
export interface DeliveryContext {
  readonly trx: Knex.Transaction;
  readonly submit: SubmitRevision;
  /** When the delivery reached us: how old its news is. */
  readonly receivedAt: Date;
}
