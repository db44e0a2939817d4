/**
 * Works off one stored delivery. Everything a delivery does happens in one transaction together
 * with the note that it was done, so a crash at any moment leaves it either undone or done.
 *
 *   received -> processed (outcome)
 *   received -> failed (error; tried again by the task queue) -> processed
 */
import { z } from 'zod';
import { type Logger, messageOf } from '../../basics/index.ts';
import type { SubmitRevision } from '../../evaluations/index.ts';
import { isConnectionError, type Knex } from '../../postgres/index.ts';
import { handleInstallation, handleInstallationRepositories, handleRepository } from './access.ts';
import type { DeliveryContext } from './context.ts';
import {
  installationPayload,
  installationRepositoriesPayload,
  pullRequestPayload,
  pushPayload,
  repositoryPayload,
} from './payloads.ts';
import { handlePullRequest, handlePush } from './revisions.ts';

/** The background task's name; its payload is `{ id }`. */
export const processDeliveryTask = 'process-delivery';

export interface DeliveryOptions {
  readonly db: Knex;
  readonly submit: SubmitRevision;
  readonly log: Logger;
}

type Handle = (context: DeliveryContext, payload: unknown) => Promise<string>;

/** The payload does not look like GitHub's: trying again helps nobody. */
class NotUnderstood extends Error {}

function handler<T>(
  schema: z.ZodType<T>,
  handle: (context: DeliveryContext, payload: T) => Promise<string>,
): Handle {
  return (context, payload) => {
    const parsed = schema.safeParse(payload);
    if (!parsed.success) throw new NotUnderstood(z.prettifyError(parsed.error).slice(0, 1000));
    return handle(context, parsed.data);
  };
}

const handlers: ReadonlyMap<string, Handle> = new Map([
  ['push', handler(pushPayload, handlePush)],
  ['pull_request', handler(pullRequestPayload, handlePullRequest)],
  ['installation', handler(installationPayload, handleInstallation)],
  ['installation_repositories', handler(installationRepositoriesPayload, handleInstallationRepositories)],
  ['repository', handler(repositoryPayload, handleRepository)],
]);

/** Events that are stored and worked off; all others are answered and forgotten. */
export const handledEvents: ReadonlySet<string> = new Set(handlers.keys());

interface DeliveryRow {
  readonly event: string;
  readonly payload: unknown;
  readonly received_at: Date;
  readonly processed_at: Date | null;
}

const taskPayload = z.object({ id: z.string() });

/** The task's handler. Throws for what may go better next time. */
export function createDeliveryProcessor(options: DeliveryOptions): (payload: unknown) => Promise<void> {
  return async (payload) => {
    const { id } = taskPayload.parse(payload);
    try {
      await options.db.transaction((trx) => processOnce(trx, id, options));
    } catch (error) {
      if (isConnectionError(error)) throw error;
      const reason = messageOf(error);
      options.log.warn({ delivery: id, reason }, 'a delivery could not be processed');
      await options.db('deliveries').where({ id }).whereNull('processed_at').update({ error: reason });
      if (!(error instanceof NotUnderstood)) throw error;
    }
  };
}

async function processOnce(trx: Knex.Transaction, id: string, options: DeliveryOptions): Promise<void> {
  const delivery: DeliveryRow | undefined = await trx('deliveries').where({ id }).forUpdate().first();
  if (!delivery || delivery.processed_at !== null) return;
  const handle = handlers.get(delivery.event);
  const context: DeliveryContext = { trx, submit: options.submit, receivedAt: delivery.received_at };
  const outcome = handle
    ? await handle(context, delivery.payload)
    : `Ignored: nothing is done about '${delivery.event}'.`;
  await trx('deliveries').where({ id }).update({ outcome, error: null, processed_at: trx.fn.now() });
  options.log.info({ delivery: id, event: delivery.event, outcome }, 'processed a delivery');
}
