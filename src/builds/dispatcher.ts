/**
 * Keeps one builder busy: claims ready builds for its free slots, runs them, records how they ended.
 *
 * States of a dispatcher: running -> stopping (claims nothing, lets attempts finish for a while)
 * -> stopped (what still ran is given back to the queue).
 */
import type { Knex } from 'knex';
import type { Logger } from '../basics/index.ts';
import type { AttemptResult, Builder } from '../builders/index.ts';
import { openLogWriter } from '../logs/index.ts';
import { untilDatabaseAnswers } from '../postgres/index.ts';
import { type ClaimedBuild, claimBuilds } from './claim.ts';
import { completeAttempt, type OnBuildsChanged, releaseAttempts } from './complete.ts';

/** Builds that rest are looked at this often; everything else is woken by a notification. */
const lookAgainMs = 5_000;
const retryMs = 1_000;

export interface DispatcherOptions {
  readonly db: Knex;
  readonly builder: Builder;
  readonly processId: number;
  /** Seconds; 0 means no limit. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  readonly onBuildsChanged: OnBuildsChanged;
  readonly log: Logger;
}

export interface Dispatcher {
  /** Looks for ready builds now. */
  wake(): void;
  /** Attempts under way. */
  readonly running: number;
  /** Claims no more, waits up to `graceMs` for what runs, and gives the rest back to the queue. */
  stop(graceMs: number): Promise<void>;
}

export function startDispatcher(options: DispatcherOptions): Dispatcher {
  const { db, builder, log } = options;
  const cancel = new AbortController();
  const attempts = new Set<Promise<void>>();
  let stopping = false;
  let filling = false;
  let again = false;
  let timer: NodeJS.Timeout | undefined;

  /** Claims until the slots are full or nothing is ready. One at a time; a wake meanwhile repeats it. */
  async function fill(): Promise<void> {
    if (filling) {
      again = true;
      return;
    }
    filling = true;
    clearTimeout(timer);
    let wait = lookAgainMs;
    try {
      do {
        again = false;
        await claimForFreeSlots();
      } while (again && !stopping);
    } catch (error) {
      log.warn({ err: error, builder: builder.name }, 'the build queue does not answer, trying again');
      wait = retryMs;
    } finally {
      filling = false;
      if (!stopping) timer = setTimeout(() => void fill(), wait);
    }
  }

  async function claimForFreeSlots(): Promise<void> {
    const count = builder.slots - attempts.size;
    if (stopping || count <= 0) return;
    const claimed = await db.transaction(async (trx) => {
      // Losing a claim in a power cut costs nothing: the build is simply still queued.
      await trx.raw('SET LOCAL synchronous_commit = off');
      const builds = await claimBuilds(trx, { builder, processId: options.processId, count });
      if (builds.length > 0) {
        await options.onBuildsChanged(
          trx,
          builds.map((build) => build.buildId),
        );
      }
      return builds;
    });
    for (const build of claimed) start(build);
  }

  function start(build: ClaimedBuild): void {
    const attempt = run(build)
      .catch((error: unknown) =>
        log.error({ err: error, build: build.buildId }, 'an attempt was not recorded'),
      )
      .finally(() => {
        attempts.delete(attempt);
        void fill();
      });
    attempts.add(attempt);
  }

  async function run(build: ClaimedBuild): Promise<void> {
    const logWriter = openLogWriter({ db, attemptId: build.attemptId, log });
    const result = await builder.attempt({
      drvPath: build.drvPath,
      signal: cancel.signal,
      timeoutSeconds: options.timeoutSeconds,
      maxSilentSeconds: options.maxSilentSeconds,
      onLogLine: (line) => logWriter.line(line),
    });
    await logWriter.finish(cancel.signal);
    // Stopped by us, not by the build: `stop` gives it back.
    if (cancel.signal.aborted && result.status === 'cancelled') return;
    await record(build, result);
  }

  /** The result of hours of work is not thrown away because the database is away for a minute. */
  async function record(build: ClaimedBuild, result: AttemptResult): Promise<void> {
    await untilDatabaseAnswers(log, cancel.signal, () =>
      db.transaction((trx) => completeAttempt(trx, build.attemptId, result, options.onBuildsChanged)),
    );
    log.info(
      { build: build.buildId, name: build.name, builder: builder.name, status: result.status },
      'attempt ended',
    );
  }

  void fill();
  return {
    wake: () => void fill(),
    get running() {
      return attempts.size;
    },
    async stop(graceMs) {
      stopping = true;
      clearTimeout(timer);
      const grace = setTimeout(() => cancel.abort(), graceMs);
      await Promise.all(attempts);
      clearTimeout(grace);
      if (cancel.signal.aborted) {
        await db.transaction((trx) => releaseAttempts(trx, [options.processId]));
      }
    },
  };
}
