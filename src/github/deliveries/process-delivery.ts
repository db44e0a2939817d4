/**
 * Works off stored deliveries: one, and then the others of its installation that came meanwhile, in their
 * order, so that a crowd does not cost the task queue's rhythm for each. What must be asked of GitHub is
 * asked first; then everything that the delivery does happens in one transaction together with the note
 * that it was done, so a crash at any moment leaves it either undone or done.
 *
 *   received -> processed (outcome)
 *   received -> failed (error; tried again by the task queue) -> processed
 */
import { z } from 'zod';
import { type Logger, messageOf } from '../../basics/index.ts';
import type { OnRevisionChanged, SubmitRevision } from '../../evaluations/index.ts';
import { isConnectionError, type Knex } from '../../postgres/index.ts';
import { failureOf, isFromGitHub } from '../failures.ts';
import type { Questions } from '../questions.ts';
import type { DeliveryContext } from './context.ts';
import { type Act, handlerOf, NotUnderstood } from './handlers.ts';

/** The background task's name; its payload is `{ id }`. */
export const processDeliveryTask = 'process-delivery';

/** The key of the task of a delivery. */
export const deliveryJobKey = (id: string): string => `delivery:${id}`;

/** Deliveries after which a task ends, so that others get their turn, and those read at a time. */
const mostInARow = 200;
const readAtOnce = 25;

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
  readonly id: string;
  readonly installation_id: number | null;
  readonly event: string;
  readonly payload: unknown;
  readonly received_at: Date;
  readonly processed_at: Date | null;
}

const taskPayload = z.object({ id: z.string() });

/** The task's handler. Throws for what may go better next time. */
export function createDeliveryProcessor(
  options: DeliveryOptions,
): (payload: unknown, context?: { readonly signal: AbortSignal }) => Promise<void> {
  const { db } = options;
  return async (payload, context) => {
    const { id } = taskPayload.parse(payload);
    const delivery: DeliveryRow | undefined = await db('deliveries').where({ id }).first();
    if (!delivery) return;
    if (delivery.processed_at === null) await workOff(options, delivery);
    const { installation_id: installation } = delivery;
    if (installation !== null) await workOffOthers(options, installation, context?.signal);
  };
}

/** Rejects for what may go better next time. */
async function workOff(options: DeliveryOptions, delivery: DeliveryRow): Promise<void> {
  const { db, log } = options;
  const { id } = delivery;
  try {
    const act = await prepare(options, delivery);
    await db.transaction((trx) => processOnce(trx, id, act, options));
  } catch (error) {
    if (isConnectionError(error)) throw error;
    const reason = messageOf(error);
    log.warn({ delivery: id, reason }, 'a delivery could not be processed');
    await db('deliveries').where({ id }).whereNull('processed_at').update({ error: reason });
    if (!(error instanceof NotUnderstood)) throw error;
  }
}

/**
 * Those that nobody has tried yet. What fails here is tried again by its own task, which is still there;
 * the tasks of the others are not needed any more.
 */
async function workOffOthers(
  options: DeliveryOptions,
  installation: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { db } = options;
  for (let done = 0; done < mostInARow && !signal?.aborted; ) {
    const waiting: readonly DeliveryRow[] = await db('deliveries')
      .where({ installation_id: installation })
      .whereNull('processed_at')
      .whereNull('error')
      .orderBy(['received_at', 'id'])
      .limit(readAtOnce);
    if (waiting.length === 0) return;
    const worked: string[] = [];
    for (const delivery of waiting) {
      if (signal?.aborted) break;
      done += 1;
      const problem = await workOff(options, delivery).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (isConnectionError(problem)) throw problem;
      if (problem === undefined) worked.push(deliveryJobKey(delivery.id));
    }
    await db.raw('SELECT graphile_worker.remove_job(key) FROM unnest(?::text[]) AS key', [worked]);
  }
}

/** Reads it and asks GitHub. Where GitHub does not answer, the delivery is tried again later. */
async function prepare(options: DeliveryOptions, { event, payload }: DeliveryRow): Promise<Act> {
  const handle = handlerOf(event);
  if (!handle) return async () => `Ignored: nothing is done about '${event}'.`;
  try {
    return await handle(options, payload);
  } catch (error) {
    if (error instanceof NotUnderstood || isConnectionError(error)) throw error;
    throw isFromGitHub(error) ? new Error(failureOf(error).reason, { cause: error }) : error;
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
