/**
 * Works off one stored delivery. What must be asked of GitHub is asked first; then everything that the
 * delivery does happens in one transaction together with the note that it was done, so a crash at any
 * moment leaves it either undone or done.
 *
 *   received -> processed (outcome)
 *   received -> failed (error; tried again by the task queue) -> processed
 */
import { z } from 'zod';
import { type Logger, messageOf } from '../../basics/index.ts';
import type { OnRevisionChanged, SubmitRevision } from '../../evaluations/index.ts';
import { isConnectionError, type Knex } from '../../postgres/index.ts';
import { failureOf } from '../failures.ts';
import type { Questions } from '../questions.ts';
import type { DeliveryContext } from './context.ts';
import { type Act, handlerOf, NotUnderstood } from './handlers.ts';

/** The background task's name; its payload is `{ id }`. */
export const processDeliveryTask = 'process-delivery';

export interface DeliveryOptions {
  readonly db: Knex;
  readonly submit: SubmitRevision;
  readonly onRevisionChanged: OnRevisionChanged;
  /** Undefined without credentials: then nobody has any permission. */
  readonly questions: Questions | undefined;
  readonly appId: number | undefined;
  /** What commands in comments begin with, for example `/ci`. */
  readonly commandWord: string;
  readonly log: Logger;
}

interface DeliveryRow {
  readonly event: string;
  readonly payload: unknown;
  readonly received_at: Date;
  readonly processed_at: Date | null;
}

const taskPayload = z.object({ id: z.string() });

/** The task's handler. Throws for what may go better next time. */
export function createDeliveryProcessor(options: DeliveryOptions): (payload: unknown) => Promise<void> {
  const { db } = options;
  return async (payload) => {
    const { id } = taskPayload.parse(payload);
    try {
      const delivery: DeliveryRow | undefined = await db('deliveries').where({ id }).first();
      if (!delivery || delivery.processed_at !== null) return;
      const act = await prepare(options, delivery);
      await db.transaction((trx) => processOnce(trx, id, act, options));
    } catch (error) {
      if (isConnectionError(error)) throw error;
      const reason = messageOf(error);
      options.log.warn({ delivery: id, reason }, 'a delivery could not be processed');
      await db('deliveries').where({ id }).whereNull('processed_at').update({ error: reason });
      if (!(error instanceof NotUnderstood)) throw error;
    }
  };
}

/** Reads it and asks GitHub. Where GitHub does not answer, the delivery is tried again later. */
async function prepare(options: DeliveryOptions, { event, payload }: DeliveryRow): Promise<Act> {
  const handle = handlerOf(event);
  if (!handle) return async () => `Ignored: nothing is done about '${event}'.`;
  try {
    return await handle(options, payload);
  } catch (error) {
    if (error instanceof NotUnderstood || isConnectionError(error)) throw error;
    throw new Error(failureOf(error).reason, { cause: error });
  }
}

async function processOnce(
  trx: Knex.Transaction,
  id: string,
  act: Act,
  options: DeliveryOptions,
): Promise<void> {
  const delivery: DeliveryRow | undefined = await trx('deliveries').where({ id }).forUpdate().first();
  if (!delivery || delivery.processed_at !== null) return;
  const { submit, onRevisionChanged, appId, commandWord } = options;
  const receivedAt = delivery.received_at;
  const context: DeliveryContext = { trx, submit, onRevisionChanged, receivedAt, appId, commandWord };
  const outcome = await act(context);
  await trx('deliveries').where({ id }).update({ outcome, error: null, processed_at: trx.fn.now() });
  options.log.info({ delivery: id, event: delivery.event, outcome }, 'processed a delivery');
}
