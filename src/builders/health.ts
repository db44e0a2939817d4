/**
 * Which of this process's builders get new builds: what operators decided, and how the machine does.
 *
 *     well ──machine failed──> asked (probe) ──answers──> well, but the next failure in a row rests it
 *      ^                          │ does not answer, or not the first failure in a row
 *      │                          v
 *      └──answers── asked <──time over── resting, longer each time
 *
 * A machine behind ssh is asked before it gets its first build, so that one that is set up wrongly says
 * so and costs none. Attempts that were under way when the trouble began belong to it: they do not count again.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type Logger, messageOf } from '../basics/index.ts';
import { adviceOn } from './advice.ts';
import type { Builder } from './types.ts';

const longestRestSeconds = 27 * 60;
const probeTimeoutMs = 30_000;

export interface HealthOptions {
  readonly db: Knex;
  /** Seconds of the first rest; each one in a row is three times as long, up to 27 minutes. */
  readonly firstRestSeconds: number;
  /** Called when a builder may be given builds again. */
  readonly onRecovered: () => void;
  readonly log: Logger;
}

/** What an attempt says of the machine it ran on. */
export interface Experience {
  readonly machineFailed: boolean;
  readonly message: string;
  readonly startedAt: Date;
}

export interface BuilderHealth {
  accepts(builder: Builder): boolean;
  /** As an operator has set it, or as it says of itself. */
  speedOf(builder: Builder): number;
  heard(builder: Builder, experience: Experience): Promise<void>;
  /** Reads what operators have decided, and what other processes knew before this one drove them. */
  refresh(builders: readonly Builder[]): Promise<void>;
  stop(): void;
}

interface Standing {
  /** Set by operators. */
  open: boolean;
  speed: number | undefined;
  /** Troubles in a row. */
  failures: number;
  /** When the last trouble became known; milliseconds. */
  troubleAt: number;
  /** Until a probe has been answered. */
  resting: boolean;
  /** What was known of it before this process drove it has been read. */
  known: boolean;
  timer: NodeJS.Timeout | undefined;
  /** Changes that are not in the database yet. */
  writing: number;
}

const healthy = { consecutive_failures: 0, last_error: null, disabled_until: null };
const rested = { disabled_until: null };

const rows = z.array(
  z.object({
    id: z.number(),
    open: z.boolean(),
    speed: z.number(),
    failures: z.number(),
    rest_ms: z.number().nullable(),
  }),
);

/** Milliseconds of the n-th rest in a row, a quarter more or less so that builders do not come back as one. */
export function restMs(failures: number, firstRestSeconds: number, random = Math.random()): number {
  const seconds = Math.min(longestRestSeconds, firstRestSeconds * 3 ** (failures - 1));
  return seconds * 1000 * (0.75 + random / 2);
}

export function createBuilderHealth(options: HealthOptions): BuilderHealth {
  const { db, log } = options;
  const standings = new Map<number, Standing>();
  let stopped = false;

  function standingOf(builder: Builder): Standing {
    const known = standings.get(builder.id);
    if (known) return known;
    const fresh: Standing = {
      open: true,
      speed: undefined,
      failures: 0,
      troubleAt: 0,
      resting: builder.kind === 'ssh',
      known: false,
      timer: undefined,
      writing: 0,
    };
    standings.set(builder.id, fresh);
    if (fresh.resting && !stopped) void ask(builder, fresh, healthy);
    return fresh;
  }

  async function write(builder: Builder, standing: Standing, change: Readonly<Record<string, unknown>>) {
    standing.writing += 1;
    try {
      await db('builders').where({ id: builder.id }).update(change);
    } catch (error) {
      log.warn({ builder: builder.name, reason: messageOf(error) }, 'the state of a builder was not stored');
    } finally {
      standing.writing -= 1;
    }
  }

  async function rest(builder: Builder, standing: Standing, message: string): Promise<void> {
    const milliseconds = restMs(standing.failures, options.firstRestSeconds);
    restFor(builder, standing, milliseconds);
    log.warn(
      {
        builder: builder.name,
        seconds: Math.round(milliseconds / 1000),
        failures: standing.failures,
        message,
      },
      'a builder failed and gets no builds for a while',
    );
    await write(builder, standing, {
      consecutive_failures: standing.failures,
      last_error: message,
      disabled_until: db.raw("now() + ? * interval '1 millisecond'", [milliseconds]),
    });
  }

  function restFor(builder: Builder, standing: Standing, milliseconds: number): void {
    standing.resting = true;
    clearTimeout(standing.timer);
    if (stopped) return;
    standing.timer = setTimeout(() => void ask(builder, standing), milliseconds);
    standing.timer.unref();
  }

  /** A probe decides whether it gets builds again. */
  async function ask(builder: Builder, standing: Standing, change = rested): Promise<void> {
    standing.timer = undefined;
    const problem = await probe(builder);
    if (stopped) return;
    if (problem !== undefined) {
      standing.failures += 1;
      standing.troubleAt = Date.now();
      await rest(builder, standing, problem);
      return;
    }
    recover(standing);
    log.info({ builder: builder.name }, 'a builder answers');
    if (change === healthy) standing.failures = 0;
    await write(builder, standing, change);
  }

  function recover(standing: Standing): void {
    clearTimeout(standing.timer);
    standing.timer = undefined;
    standing.resting = false;
    options.onRecovered();
  }

  async function failed(builder: Builder, standing: Standing, { message, startedAt }: Experience) {
    if (standing.resting || startedAt.getTime() <= standing.troubleAt) return;
    standing.troubleAt = Date.now();
    standing.failures += 1;
    standing.resting = true;
    const problem = standing.failures > 1 ? message : await probe(builder);
    if (problem !== undefined) {
      await rest(builder, standing, problem);
      return;
    }
    recover(standing);
    await write(builder, standing, { consecutive_failures: standing.failures, last_error: message });
  }

  return {
    accepts(builder) {
      const standing = standingOf(builder);
      return builder.accepting && standing.open && !standing.resting;
    },
    speedOf: (builder) => standingOf(builder).speed ?? builder.speed,
    async heard(builder, experience) {
      const standing = standingOf(builder);
      if (experience.machineFailed) return failed(builder, standing, experience);
      if (standing.failures === 0 || experience.startedAt.getTime() <= standing.troubleAt) return;
      standing.failures = 0;
      await write(builder, standing, healthy);
    },
    async refresh(builders) {
      const found: unknown = await db('builders')
        .whereIn(
          'id',
          builders.map((builder) => builder.id),
        )
        .select('id', 'speed', 'consecutive_failures as failures')
        .select(db.raw('enabled AND NOT draining AND removed_at IS NULL AS open'))
        .select(
          db.raw(
            "CASE WHEN disabled_until IS NOT NULL THEN (extract(epoch FROM greatest(disabled_until - now(), interval '0')) * 1000)::float8 END AS rest_ms",
          ),
        );
      const byId = new Map(builders.map((builder) => [builder.id, builder]));
      for (const row of rows.parse(found)) {
        const builder = byId.get(row.id);
        if (!builder) continue;
        const standing = standingOf(builder);
        standing.open = row.open;
        standing.speed = row.speed;
        if (standing.writing > 0 || stopped) continue;
        if (!standing.known) standing.failures = Math.max(standing.failures, row.failures);
        standing.known = true;
        // Somebody else's knowledge: of the process that drove it before, or of an operator.
        if (row.rest_ms !== null && !standing.resting) {
          standing.failures = row.failures;
          restFor(builder, standing, row.rest_ms);
        } else if (row.rest_ms === null && standing.timer) {
          standing.failures = row.failures;
          recover(standing);
        }
      }
      for (const [id, standing] of standings) {
        if (byId.has(id)) continue;
        clearTimeout(standing.timer);
        standings.delete(id);
      }
    },
    stop() {
      stopped = true;
      for (const standing of standings.values()) clearTimeout(standing.timer);
    },
  };
}

/** Why the builder cannot build now; undefined when it can. */
async function probe(builder: Builder): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`It did not answer within ${probeTimeoutMs / 1000} s.`), probeTimeoutMs);
  });
  try {
    return await Promise.race([builder.probe().then(() => undefined), late]);
  } catch (error) {
    return adviceOn(error);
  } finally {
    clearTimeout(timer);
  }
}
