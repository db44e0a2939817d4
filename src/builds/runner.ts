/** The attempts that run in this process: from the moment they were claimed to their recorded end. */
import type { Knex } from 'knex';
import type { Logger } from '../basics/index.ts';
import type { AttemptResult, Builder, BuilderHealth } from '../builders/index.ts';
import { type LogWriter, openLogWriter, type Secrets } from '../logs/index.ts';
import type { ClaimedBuild } from './claim.ts';
import type { Completions } from './completions.ts';
import { isMachineFailure } from './states.ts';

export interface RunnerOptions {
  readonly db: Knex;
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  readonly completions: Completions;
  readonly health: BuilderHealth;
  readonly onSlotFree: () => void;
  /** What must not be in logs; asked for each line. */
  readonly secrets?: (() => Secrets) | undefined;
  readonly log: Logger;
}

/** Why an attempt was stopped, if it was. The results of all but `cancelled` ones are for nobody. */
export type StopReason = 'taken-away' | 'cancelled' | 'stopping';

export interface Runner {
  start(builder: Builder, build: ClaimedBuild): void;
  attemptIds(): readonly number[];
  runningOn(builderId: number): number;
  /** It builds something again to compare it. */
  isChecking(builderId: number): boolean;
  /** False when it does not run, or its end is being recorded. */
  stopAttempt(attemptId: number, reason: StopReason): boolean;
  /** Stops all but agents' attempts, which outlive this process. */
  stopAll(): void;
  untilLocalOnesEnded(): Promise<void>;
}

/** One attempt under way. */
interface Attempt {
  readonly builder: Builder;
  readonly check: boolean;
  readonly cancel: AbortController;
  stopped: StopReason | undefined;
  /** The builder is through with it; its end is being recorded. */
  built: boolean;
  /** Resolves when it was recorded, or could not be. */
  done: Promise<void>;
}

export function createRunner(options: RunnerOptions): Runner {
  const { completions, health, log } = options;
  const attempts = new Map<number, Attempt>();
  const byBuilder = new Map<number, number>();
  const quitting = new AbortController();

  function count(builder: Builder, change: number): void {
    const now = (byBuilder.get(builder.id) ?? 0) + change;
    if (now > 0) byBuilder.set(builder.id, now);
    else byBuilder.delete(builder.id);
  }

  async function run(build: ClaimedBuild, attempt: Attempt): Promise<void> {
    const { builder } = attempt;
    const { signal } = attempt.cancel;
    const logWriter = lazyLog(options, build.attemptId);
    const result = await builder.attempt({
      attemptId: build.attemptId,
      drvPath: build.drvPath,
      outputs: build.outputs,
      ...(build.derivation && { derivation: build.derivation }),
      ...(build.check && { check: true }),
      signal,
      timeoutSeconds: build.timeoutSeconds ?? options.timeoutSeconds,
      maxSilentSeconds: build.maxSilentSeconds ?? options.maxSilentSeconds,
      onLogLine: (line) => logWriter.line(line),
      onPhase: (phase) => logWriter.phase(phase),
    });
    attempt.built = true;
    await logWriter.finish(attempt.stopped === 'cancelled' ? quitting.signal : signal);
    // Stopped by us, not by the build: its build is given back, or has been.
    if (attempt.stopped && attempt.stopped !== 'cancelled' && result.status === 'cancelled') return;
    await completions.record({
      attemptId: build.attemptId,
      buildId: build.buildId,
      result,
      withoutLog: !logWriter.begun,
    });
    log.info(
      { build: build.buildId, name: build.name, builder: builder.name, status: result.status },
      'attempt ended',
    );
    result.onRecorded?.();
    // A check that is not possible is nothing against the machine.
    if (!attempt.check) tellHealth(builder, result);
  }

  function tellHealth(builder: Builder, result: AttemptResult): void {
    if (result.status === 'cancelled') return;
    const { message, startedAt } = result;
    const heard = health.heard(builder, {
      machineFailed: isMachineFailure(result.status),
      message,
      startedAt,
    });
    heard.catch((error: unknown) => log.error({ err: error }, 'the health of a builder was not noted'));
  }

  return {
    start(builder, build) {
      const attempt: Attempt = {
        builder,
        check: build.check ?? false,
        cancel: new AbortController(),
        stopped: undefined,
        built: false,
        done: Promise.resolve(),
      };
      attempts.set(build.attemptId, attempt);
      count(builder, 1);
      attempt.done = run(build, attempt)
        .catch((error: unknown) =>
          log.error({ err: error, build: build.buildId }, 'an attempt was not recorded'),
        )
        .finally(() => {
          attempts.delete(build.attemptId);
          count(builder, -1);
          options.onSlotFree();
        });
    },
    attemptIds: () => [...attempts.keys()],
    runningOn: (builderId) => byBuilder.get(builderId) ?? 0,
    isChecking: (builderId) =>
      [...attempts.values()].some(({ builder, check }) => check && builder.id === builderId),
    stopAttempt(attemptId, reason) {
      const attempt = attempts.get(attemptId);
      // One that has just ended is not running either.
      if (!attempt || attempt.built || attempt.stopped === reason) return false;
      attempt.stopped = reason;
      attempt.cancel.abort();
      return true;
    },
    stopAll() {
      quitting.abort();
      for (const attempt of attempts.values()) {
        if (attempt.builder.kind === 'agent') continue;
        attempt.stopped ??= 'stopping';
        attempt.cancel.abort();
      }
    },
    async untilLocalOnesEnded() {
      const local = [...attempts.values()].filter(({ builder }) => builder.kind !== 'agent');
      await Promise.all(local.map((attempt) => attempt.done));
    },
  };
}

interface LazyLog extends LogWriter {
  readonly begun: boolean;
}

/** Most quick builds print nothing: then nothing is written, and the end of the attempt says so. */
function lazyLog({ db, log, secrets }: RunnerOptions, attemptId: number): LazyLog {
  let writer: LogWriter | undefined;
  const open = () => openLogWriter({ db, attemptId, log, ...(secrets && { secrets }) });
  return {
    get begun() {
      return writer !== undefined;
    },
    line(bytes) {
      writer ??= open();
      writer.line(bytes);
    },
    phase(name) {
      writer ??= open();
      writer.phase(name);
    },
    async finish(signal) {
      await writer?.finish(signal);
    },
  };
}
