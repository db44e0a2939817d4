/**
 * Deliveries that GitHub could not bring while we were away. GitHub tries none of them again by itself,
 * but keeps them for three days and brings them once more when asked, under the same id.
 *
 * Only those are asked for that we have not worked off, and each a few times at most: a delivery that
 * fails again and again has a reason that asking does not cure.
 */
import { z } from 'zod';
import type { Logger } from '../../basics/index.ts';
import { addTask, type Knex } from '../../postgres/index.ts';
import type { GitHubApp, GitHubClient } from '../app.ts';
import { failureOf } from '../failures.ts';
import { isHandled } from './handlers.ts';

export const sweepDeliveriesTask = 'sweep-deliveries';

/** Milliseconds between two looks. One look is one call where nothing has failed lately. */
const everyMs = 5 * 60_000;
/** How far back the first look of a process goes: what GitHub keeps. */
const keptMs = 3 * 24 * 3600_000;
/** Later ones: failures that are told late, and clocks that differ. */
const overlapMs = 15 * 60_000;
/** A delivery may be under way still. */
const youngestMs = 60_000;
const pageSize = 100;
/** Pages of one look: 5,000 deliveries, the rest at the next. */
const mostPages = 50;
/** Deliveries asked for in one look: each is 5 of the 900 points that GitHub gives for a minute. */
const mostAtOnce = 150;
/** Milliseconds to the next look when that were not all. */
const soonMs = 60_000;
/** Times one is asked for. */
const mostTries = 3;

const deliveryShape = z.object({
  id: z.number(),
  guid: z.string(),
  delivered_at: z.coerce.date(),
  status_code: z.number(),
  event: z.string(),
  action: z.string().nullable(),
});
type Listed = z.infer<typeof deliveryShape>;

export interface SweepOptions {
  readonly db: Knex;
  readonly app: GitHubApp;
  readonly log: Logger;
  /** Default: the machine's clock. */
  readonly now?: () => Date;
}

/** The task's handler; it asks for its own next run. */
export function createDeliverySweeper(options: SweepOptions): () => Promise<void> {
  const now = options.now ?? (() => new Date());
  let sweptUntil: Date | undefined;
  return async () => {
    const begun = now();
    let next = everyMs;
    try {
      const since = new Date(sweptUntil ? sweptUntil.getTime() - overlapMs : begun.getTime() - keptMs);
      const asked = await sweepDeliveries(options, since, begun);
      if (asked > 0) options.log.info({ deliveries: asked }, 'asked GitHub for deliveries that had failed');
      if (asked < mostAtOnce) sweptUntil = begun;
      else next = soonMs;
    } catch (error) {
      const { reason, afterSeconds } = failureOf(error);
      options.log.warn({ reason }, 'failed deliveries could not be looked for, to be tried again');
      next = Math.max(everyMs, (afterSeconds ?? 0) * 1000);
    }
    await requestDeliverySweep(options.db, new Date(begun.getTime() + next));
  };
}

/** Asks for a look at that time; there is one at a time for all servers. */
export async function requestDeliverySweep(db: Knex, runAt = new Date()): Promise<void> {
  await addTask(
    db,
    sweepDeliveriesTask,
    {},
    { jobKey: sweepDeliveriesTask, queueName: sweepDeliveriesTask, runAt },
  );
}

/** Looks through what GitHub has delivered since then, and asks for what did not arrive. Returns how many. */
export async function sweepDeliveries(
  { db, app }: Pick<SweepOptions, 'db' | 'app'>,
  since: Date,
  now: Date,
): Promise<number> {
  const client = await app.appClient();
  const failed = new Map<string, Listed>();
  const arrived = new Set<string>();
  for await (const delivery of listSince(client, since)) {
    if (!isHandled(delivery.event, delivery.action ?? undefined)) continue;
    const good = delivery.status_code >= 200 && delivery.status_code < 300;
    if (good) arrived.add(delivery.guid);
    // The newest try of each comes first.
    else if (delivery.delivered_at.getTime() > now.getTime() - youngestMs) continue;
    else if (!failed.has(delivery.guid)) failed.set(delivery.guid, delivery);
  }
  const missing = [...failed.values()].filter(({ guid }) => !arrived.has(guid));
  // The oldest first: what happened first is told first.
  const toAsk = await allowed(db, missing.reverse());
  for (const { id } of toAsk) {
    await client.request('POST /app/hook/deliveries/{delivery_id}/attempts', { delivery_id: id });
  }
  return toAsk.length;
}

async function* listSince(client: GitHubClient, since: Date): AsyncGenerator<Listed> {
  let cursor: string | undefined;
  for (let page = 0; page < mostPages; page++) {
    const { data, headers } = await client.request('GET /app/hook/deliveries', {
      per_page: pageSize,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const one of z.array(deliveryShape).parse(data)) {
      if (one.delivered_at < since) return;
      yield one;
    }
    cursor = /[?&]cursor=([^&>]+)[^>]*>;\s*rel="next"/.exec(headers.link ?? '')?.[1];
    if (cursor === undefined) return;
    cursor = decodeURIComponent(cursor);
  }
}

const guidRows = z.object({ rows: z.array(z.object({ guid: z.string() })) });

/** The first of those that we do not have and did not ask for often enough; counts them as asked for. */
async function allowed(db: Knex, deliveries: readonly Listed[]): Promise<readonly Listed[]> {
  if (deliveries.length === 0) return [];
  const result: unknown = await db.raw(
    `INSERT INTO redeliveries (guid, tries)
     SELECT g, 1 FROM (
       SELECT g FROM unnest(?::text[]) WITH ORDINALITY AS listed (g, place)
       WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id = g)
         AND NOT EXISTS (SELECT 1 FROM redeliveries r WHERE r.guid = g AND r.tries >= ?)
       ORDER BY place LIMIT ?) AS first ORDER BY g
     ON CONFLICT (guid) DO UPDATE SET tries = redeliveries.tries + 1, asked_at = now()
       WHERE redeliveries.tries < ?
     RETURNING guid`,
    [deliveries.map(({ guid }) => guid), mostTries, mostAtOnce, mostTries],
  );
  const guids = new Set(guidRows.parse(result).rows.map((row) => row.guid));
  return deliveries.filter(({ guid }) => guids.has(guid));
}
