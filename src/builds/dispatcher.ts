/**
 * Keeps one builder busy: claims ready builds for its free slots, runs them, records how they ended.
 *
 * States of a dispatcher: running -> stopping (claims nothing, lets attempts finish for a while)
 * -> stopped (what still ran is given back to the queue).
 */
import type { Knex } from 'knex';
import { type Logger, messageOf } from '../basics/index.ts';
import type { AttemptResult, Builder } from '../builders/index.ts';
import { openLogWriter } from '../logs/index.ts';
import { untilDatabaseAnswers } from '../postgres/index.ts';
import { cancelRequested, endCancelledInQueue } from './cancel.ts';
import { type ClaimedBuild, claimBuilds } from './claim.ts';
import { completeAttempt, type OnBuildsChanged } from './complete.ts';
import { releaseForgotten, takenAway } from './forgotten.ts';

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
  /** Stops those attempts whose builds are to be cancelled. Call it when told on `cancelChannel`. */
  stopCancelled(): void;
  /** Attempts under way. */
  readonly running: number;
  /** Claims no more, waits up to `graceMs` for what runs, and gives the rest back to the queue. */
  stop(graceMs: number): Promise<void>;
}

export function startDispatcher(options: DispatcherOptions): Dispatcher {
  const { db, builder, log } = options;
  const holder = { processId: options.processId, builder: builder.name };
  const attempts = new Map<number, Attempt>();
  const graceOver = new AbortController();
  let stopping = false;
  let filling: Promise<void> | undefined;
  let again = false;
  /** When this process and the database last agreed on what runs here; milliseconds. */
  let agreedAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;

  function wake(): void {
    again = true;
    filling ??= fill();
  }

  /** Claims until the slots are full or nothing is ready. One at a time; a wake meanwhile repeats it. */
  async function fill(): Promise<void> {
    clearTimeout(timer);
    let wait = lookAgainMs;
    try {
      while (again && !stopping) {
        again = false;
        if (performance.now() - agreedAt >= lookAgainMs) await compareWithDatabase();
        await claimForFreeSlots();
      }
    } catch (error) {
      log.warn({ err: error, builder: builder.name }, 'the build queue does not answer, trying again');
      wait = retryMs;
    } finally {
      filling = undefined;
      if (!stopping) timer = setTimeout(wake, wait);
    }
  }

  async function compareWithDatabase(): Promise<void> {
    const running = [...attempts.keys()];
    for (const attemptId of await takenAway(db, running)) {
      const attempt = attempts.get(attemptId);
      // One that has just ended is not running either.
      if (!attempt || attempt.built) continue;
      log.warn({ attempt: attemptId }, 'an attempt was given to another process meanwhile, stopping it');
      attempt.cancel.abort();
    }
    const released = await db.transaction((trx) => releaseForgotten(trx, holder, running));
    if (released.length > 0) log.warn({ builds: released }, 'gave back builds that nobody was building');
    await db.transaction(async (trx) => {
      const ended = await endCancelledInQueue(trx);
      if (ended.length > 0) await options.onBuildsChanged(trx, ended);
    });
    await abortCancelled();
    agreedAt = performance.now();
  }

  async function abortCancelled(): Promise<void> {
    for (const attemptId of await cancelRequested(db, [...attempts.keys()])) {
      const attempt = attempts.get(attemptId);
      if (!attempt || attempt.built) continue;
      attempt.asked = true;
      attempt.cancel.abort();
    }
  }

  async function claimForFreeSlots(): Promise<void> {
    const count = builder.slots - attempts.size;
    if (stopping || count <= 0) return;
    // Flushed to disk, unlike a log: an attempt that a crashed database forgets goes on here, and
    // its number may be given to another one.
    const claimed = await db.transaction(async (trx) => {
      const builds = await claimBuilds(trx, { builder, processId: options.processId, count });
      if (builds.length > 0) {
        await options.onBuildsChanged(
          trx,
          builds.map((build) => build.buildId),
        );
      }
      return builds;
    });
    // What was claimed while the end began is given back by `stop`.
    if (!stopping) for (const build of claimed) start(build);
  }

  function start(build: ClaimedBuild): void {
    const attempt: Attempt = {
      cancel: new AbortController(),
      built: false,
      asked: false,
      done: Promise.resolve(),
    };
    attempts.set(build.attemptId, attempt);
    attempt.done = run(build, attempt)
      .catch((error: unknown) =>
        log.error({ err: error, build: build.buildId }, 'an attempt was not recorded'),
      )
      .finally(() => {
        attempts.delete(build.attemptId);
        wake();
      });
  }

  async function run(build: ClaimedBuild, attempt: Attempt): Promise<void> {
    const { signal } = attempt.cancel;
    const logWriter = openLogWriter({ db, attemptId: build.attemptId, log });
    const result = await builder.attempt({
      attemptId: build.attemptId,
      drvPath: build.drvPath,
      outputs: build.outputs,
      signal,
      timeoutSeconds: options.timeoutSeconds,
      maxSilentSeconds: options.maxSilentSeconds,
      onLogLine: (line) => logWriter.line(line),
    });
    attempt.built = true;
    await logWriter.finish(signal);
    // Stopped by us, not by the build: its build is given back, or has been.
    if (signal.aborted && result.status === 'cancelled' && !attempt.asked) return;
    await record(build, result, attempt.asked ? graceOver.signal : signal);
  }

  /** The result of hours of work is not thrown away because the database is away for a minute. */
  async function record(build: ClaimedBuild, result: AttemptResult, signal: AbortSignal): Promise<void> {
    await untilDatabaseAnswers(log, signal, () =>
      db.transaction((trx) => completeAttempt(trx, build, result, options.onBuildsChanged)),
    );
    log.info(
      { build: build.buildId, name: build.name, builder: builder.name, status: result.status },
      'attempt ended',
    );
  }

  wake();
  return {
    wake,
    stopCancelled() {
      abortCancelled().catch((error: unknown) =>
        log.warn({ reason: messageOf(error) }, 'looking for cancelled builds failed, to be done again'),
      );
    },
    get running() {
      return attempts.size;
    },
    async stop(graceMs) {
      stopping = true;
      clearTimeout(timer);
      const grace = setTimeout(() => {
        graceOver.abort();
        for (const attempt of attempts.values()) attempt.cancel.abort();
      }, graceMs);
      await filling;
      await Promise.all([...attempts.values()].map((attempt) => attempt.done));
      clearTimeout(grace);
      await db.transaction((trx) => releaseForgotten(trx, holder, [], 'The server was stopped.'));
    },
  };
}

/** One attempt under way. */
interface Attempt {
  readonly cancel: AbortController;
  /** The builder is through with it; its end is being recorded. */
  built: boolean;
  /** Somebody asked for its end. */
  asked: boolean;
  /** Resolves when it was recorded, or could not be. */
  done: Promise<void>;
}
