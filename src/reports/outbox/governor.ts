/**
 * How much an installation may write. GitHub allows 80 content-creating requests a minute and 500
 * an hour, in bursts, and blocks who goes over.
 *
 * Each call is counted in a sliding window rather than a token bucket: a bucket of 80 that refills
 * by 80 a minute lets 160 through in its first one. The counts are rows of the database, one for each
 * batch of calls, by the database's clock: a restart does not forget them, and servers that write for
 * the same installation at the same time share them. They are written before the calls are made, so
 * that a server which dies in between has counted too much rather than too little.
 *
 * The other limits are far: 900 points a minute and endpoint are 180 writes, 100 requests at once are
 * twelve waves of the outbox, of which an installation has one.
 */
import type { Knex } from 'knex';
import { z } from 'zod';

export type Urgency = 'essential' | 'result' | 'progress';

/** Writes of each urgency that are allowed right now. */
export type Room = Readonly<Record<Urgency, number>>;

export interface WriteBudget {
  /** Writes within any minute and any hour. */
  readonly perMinute: number;
  readonly perHour: number;
}

/**
 * What each urgency may use up to, all calls counted. The difference to GitHub's 80 and 500 is for
 * its clock and the time that calls are under way. The difference between the urgencies keeps
 * room for ends when progress was eager: a revision of 40 quick attributes has 20 calls of progress,
 * and the 40 ends, gate and summary still fit into the same minute.
 */
export const budgets = {
  essential: { perMinute: 76, perHour: 470 },
  result: { perMinute: 70, perHour: 440 },
  progress: { perMinute: 20, perHour: 200 },
} as const satisfies Record<Urgency, WriteBudget>;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Writes that are allowed, and counted already. */
export interface Allowance {
  readonly writes: number;
  /** When the next write of this urgency is allowed; now or earlier when there is room. */
  nextRoom(urgency: Urgency): Date;
  /** Uncounts writes that were not made after all. */
  giveBack(writes: number): Promise<void>;
}

export interface Governor {
  /** Counts as many writes as `choose` takes of the room there is. */
  take(installationId: number, choose: (room: Room) => number): Promise<Allowance>;
}

/** One governor serves all installations. `now` stands in for the database's clock in tests. */
export function createGovernor(db: Knex, now?: () => Date): Governor {
  return {
    take: (installationId, choose) =>
      db.transaction(async (trx) => {
        // Who takes at the same time waits, so that none takes what the other did.
        await trx.raw('SELECT id FROM installations WHERE id = ? FOR NO KEY UPDATE', [installationId]);
        const { time, written } = await readWritten(trx, installationId, now?.());
        const writes = choose(roomAt(time, written));
        const id = writes > 0 ? await note(trx, installationId, time, writes) : undefined;
        const after = [...written, ...Array.from({ length: writes }, () => time)];
        return {
          writes,
          nextRoom: (urgency) => nextRoomAt(time, after, urgency),
          giveBack: async (unmade) => {
            if (id === undefined || unmade === 0) return;
            await db('github_writes')
              .where({ id })
              .update({ writes: db.raw('greatest(0, writes - ?)', [unmade]) });
          },
        };
      }),
  };
}

const writtenRows = z.object({
  rows: z.array(z.object({ time: z.date(), at: z.date().nullable(), writes: z.number().nullable() })),
});

interface Written {
  readonly time: number;
  /** Times of the writes of the last hour, oldest first. */
  readonly written: readonly number[];
}

/** What counts still; what does not is removed on the way. */
async function readWritten(
  trx: Knex.Transaction,
  installationId: number,
  now: Date | undefined,
): Promise<Written> {
  const result: unknown = await trx.raw(
    `WITH clock AS MATERIALIZED (SELECT coalesce(:now::timestamptz, clock_timestamp()) AS time),
     old AS (DELETE FROM github_writes USING clock
             WHERE installation_id = :installationId AND at <= time - interval '1 hour')
     SELECT time, at, writes FROM clock LEFT JOIN github_writes
       ON installation_id = :installationId AND at > time - interval '1 hour'
     ORDER BY at, id`,
    { installationId, now: now?.toISOString() ?? null },
  );
  const { rows } = writtenRows.parse(result);
  const time = rows[0]?.time.getTime() ?? Date.now();
  const written = rows.flatMap(({ at, writes }) =>
    Array.from({ length: writes ?? 0 }, () => at?.getTime() ?? time),
  );
  return { time, written };
}

async function note(trx: Knex.Transaction, installationId: number, time: number, writes: number) {
  const [row]: unknown[] = await trx('github_writes')
    .insert({ installation_id: installationId, at: new Date(time), writes })
    .returning('id');
  return z.object({ id: z.number() }).parse(row).id;
}

function roomAt(time: number, written: readonly number[]): Room {
  const lastMinute = written.filter((at) => at > time - minuteMs).length;
  const left = ({ perMinute, perHour }: WriteBudget) =>
    Math.max(0, Math.min(perMinute - lastMinute, perHour - written.length));
  return {
    essential: left(budgets.essential),
    result: left(budgets.result),
    progress: left(budgets.progress),
  };
}

function nextRoomAt(time: number, written: readonly number[], urgency: Urgency): Date {
  const budget = budgets[urgency];
  // The write whose leaving the window makes room; none when the window is not full.
  const inMinute = written.at(-budget.perMinute) ?? -Infinity;
  const inHour = written.at(-budget.perHour) ?? -Infinity;
  return new Date(Math.max(inMinute + minuteMs, inHour + hourMs, time));
}
