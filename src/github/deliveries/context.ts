import type { Logger } from '../../basics/index.ts';
import type { OnRevisionChanged, SubmitRevision } from '../../evaluations/index.ts';
import type { Knex } from '../../postgres/index.ts';
import type { Questions } from '../questions.ts';

/** What handlers of deliveries work with, in the transaction that also notes them as done. */
export interface DeliveryContext {
  readonly trx: Knex.Transaction;
  readonly submit: SubmitRevision;
  readonly onRevisionChanged: OnRevisionChanged;
  /** When the delivery reached us: how old its news is. */
  readonly receivedAt: Date;
  /** The App whose check runs are ours; undefined without credentials. */
  readonly appId: number | undefined;
  /** What commands in comments begin with. */
  readonly commandWord: string;
}

/** What can be asked before that transaction begins: nobody is called within it. */
export interface AskingContext {
  readonly db: Knex;
  /** Undefined without credentials. */
  readonly questions: Questions | undefined;
  readonly appId: number | undefined;
  readonly commandWord: string;
  readonly log: Logger;
}
