/**
 * Runs background tasks.
 *
 * graphile-worker's pool ends itself when it cannot write down how a task ended (the database was
 * away at that moment), and would leave the tasks it held locked for four hours. So a supervisor
 * starts a new pool until it is told to stop, and gives back what the ended one held:
 *
 *   starting -> running -> (pool ended by itself) -> starting, after a growing pause
 *        \-> (database away) -> starting
 *   any -> stopped, by stop(), after the handlers under way have ended
 */
import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { Runner, TaskList, WorkerEvents, WorkerPool } from 'graphile-worker';
import { type Logger, messageOf } from '../basics/index.ts';
import type { Database } from './database.ts';
import { queueLogger, releaseTasksOf } from './task-queue.ts';

export interface TaskContext {
  readonly id: string;
  readonly name: string;
  /** From 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** Says that the process wants to end; a handler that throws then is tried again elsewhere. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** Does one kind of task. The payload comes from the database: parse it. Throw to be tried again. */
export type TaskHandler = (payload: unknown, context: TaskContext) => Promise<void>;

export interface TaskRunnerOptions {
  readonly database: Database;
  readonly handlers: Readonly<Record<string, TaskHandler>>;
  /**
   * The name under which tasks are locked. Record it (`registerProcess`) before the runner starts,
   * so that others can give the tasks back when this process dies.
   */
  readonly workerId: string;
  /** Tasks at the same time. Default 4. */
  readonly concurrency?: number;
  /** Milliseconds between looks for tasks when no notification came, for example due retries. */
  readonly pollInterval?: number;
  /** Milliseconds that handlers may take at a stop before their signal aborts. Default 5000. */
  readonly graceMs?: number;
  readonly log: Logger;
}

export interface TaskRunner {
  readonly workerId: string;
  /** Takes no more tasks, waits for those under way. */
  stop(): Promise<void>;
}

/** Milliseconds between attempts to start: doubled from the first to the last. */
const firstDelay = 200;
const lastDelay = 5_000;

/** Starts running tasks; comes back by itself when the database was away. */
export function startTaskRunner(options: TaskRunnerOptions): TaskRunner {
  const stopping = new AbortController();
  let runner: Runner | undefined;

  async function supervise(): Promise<void> {
    let delay = firstDelay;
    while (!stopping.signal.aborted) {
      try {
        await releaseTasksOf(options.database.knex, [options.workerId]);
        runner = await startPool(options);
        delay = firstDelay;
        if (stopping.signal.aborted) await runner.stop();
        await runner.promise;
      } catch (error) {
        if (stopping.signal.aborted) return;
        options.log.warn({ reason: messageOf(error) }, 'background tasks stopped, starting again');
      } finally {
        runner = undefined;
      }
      await pause(delay, undefined, { signal: stopping.signal }).catch(() => {});
      delay = Math.min(delay * 2, lastDelay);
    }
  }

  const supervised = supervise();
  return {
    workerId: options.workerId,
    async stop() {
      stopping.abort();
      // Rejects when the pool is ending by itself already; supervise() waits for that.
      await runner?.stop().catch(() => {});
      await supervised;
    },
  };
}

async function startPool(options: TaskRunnerOptions): Promise<Runner> {
  const events: WorkerEvents = new EventEmitter();
  events.on('pool:create', ({ workerPool }) => {
    // Emitted before the first task is fetched. The pool's own name is random, known to nobody
    // after a crash.
    workerPool.id = options.workerId;
    events.on('job:complete', ({ job }) => {
      if (job.job_queue_id !== null) lookAgain(workerPool);
    });
  });
  const { run } = await import('graphile-worker');
  return run({
    pgPool: options.database.pool,
    taskList: taskList(options),
    concurrency: options.concurrency ?? 4,
    pollInterval: options.pollInterval ?? 2_000,
    gracefulShutdownAbortTimeout: options.graceMs ?? 5_000,
    noHandleSignals: true,
    // Without this a file named crontab in the working directory would be read and run.
    parsedCronItems: [],
    logger: await queueLogger(options.log),
    events,
    // Without batching, a failure to note a task's end is an unhandled rejection, fatal in Node.
    preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
  });
}

/** Milliseconds after the end of a task at which its queue should be free. */
const lookAgainMs = [5, 50, 500];

/**
 * A worker looks for its next task before the end of the last one is written down. Until then the
 * queue of that task is taken, so the worker finds nothing there and sleeps for the poll interval,
 * unless it is told to look again.
 */
function lookAgain(workerPool: Pick<WorkerPool, 'nudge'>): void {
  const look = () => {
    try {
      workerPool.nudge(1);
    } catch {
      // One of its workers has ended, as all will: the pool is stopping.
    }
  };
  for (const ms of lookAgainMs) setTimeout(look, ms).unref();
}

function taskList(options: TaskRunnerOptions): TaskList {
  return Object.fromEntries(
    Object.entries(options.handlers).map(([name, handler]): [string, TaskList[string]] => [
      name,
      async (payload, { job, abortSignal }) => {
        const log = options.log.child({ task: name, taskId: job.id });
        const context: TaskContext = {
          id: job.id,
          name,
          attempt: job.attempts,
          maxAttempts: job.max_attempts,
          signal: abortSignal ?? new AbortController().signal,
          log,
        };
        try {
          await handler(payload, context);
        } catch (error) {
          const last = job.attempts >= job.max_attempts;
          log[last ? 'error' : 'warn'](
            { err: error, attempt: job.attempts, maxAttempts: job.max_attempts },
            last ? 'a background task failed for good' : 'a background task failed, to be tried again',
          );
          throw error;
        }
      },
    ]),
  );
}
