/**
 * Background tasks on graphile-worker: adding them (inside the caller's transaction, so a task
 * exists exactly when what it is about does), and what becomes of a dead worker's tasks.
 *
 * A task runs at least once: when the database goes away between a handler's end and the note of
 * it, the task runs again. Handlers must be idempotent.
 *
 * graphile-worker is loaded where it is needed: commands without a database start without it.
 */
import type { Logger as QueueLogger } from 'graphile-worker';
import type { Logger } from '../basics/index.ts';
import type { Database, Knex } from './database.ts';

export interface TaskOptions {
  /** At most one waiting task has this key; adding it again changes the waiting one. */
  readonly jobKey?: string;
  /**
   * What adding a key again does. `replace` (default): everything new, runAt included.
   * `preserve_run_at`: all but runAt (debounce with a deadline). `unsafe_dedupe`: nothing at all,
   * not even when the earlier task is running or has failed for good.
   */
  readonly jobKeyMode?: 'replace' | 'preserve_run_at' | 'unsafe_dedupe';
  readonly runAt?: Date;
  /** Tasks of one queue run one after the other. */
  readonly queueName?: string;
  /** Default 25: about three days, each wait e times longer than the one before, up to e^10 s. */
  readonly maxAttempts?: number;
  /** Smaller runs first. Default 0. */
  readonly priority?: number;
}

/** Adds a background task. Given a transaction, the task appears when that commits. */
export async function addTask(
  knex: Knex,
  name: string,
  payload: Readonly<Record<string, unknown>>,
  options: TaskOptions = {},
): Promise<void> {
  await knex.raw(`select from ${addTaskSql}`, taskBindings(name, payload, options));
}

/** The call that adds a task, for statements that do more than that; with the bindings below. */
export const addTaskSql = `graphile_worker.add_job(
  identifier => cast(:taskName as text), payload => cast(:taskPayload as json), job_key => cast(:taskKey as text),
  job_key_mode => cast(:taskKeyMode as text), run_at => cast(:taskRunAt as timestamptz), queue_name => cast(:taskQueue as text),
  max_attempts => cast(:taskAttempts as int), priority => cast(:taskPriority as int))`;

export function taskBindings(
  name: string,
  payload: Readonly<Record<string, unknown>>,
  options: TaskOptions,
): Readonly<Record<string, string | number | null>> {
  return {
    taskName: name,
    taskPayload: JSON.stringify(payload),
    taskKey: options.jobKey ?? null,
    taskKeyMode: options.jobKeyMode ?? null,
    taskRunAt: options.runAt?.toISOString() ?? null,
    taskQueue: options.queueName ?? null,
    taskAttempts: options.maxAttempts ?? null,
    taskPriority: options.priority ?? null,
  };
}

/** Removes the task with this key; one that is running goes on but is not tried again. */
export async function removeTask(knex: Knex, jobKey: string): Promise<void> {
  await knex.raw('select from graphile_worker.remove_job(?)', [jobKey]);
}

/**
 * Gives back the tasks that dead workers hold, so that others run them now instead of after the
 * queue's own four hours. Never for a worker that may still be alive: its tasks would run twice.
 */
export async function releaseTasksOf(knex: Knex, workerIds: readonly string[]): Promise<void> {
  await knex.raw('select from graphile_worker.force_unlock_workers(?::text[])', [[...workerIds]]);
}

/** Tasks that are waiting or running, and those that failed for good; for health and metrics. */
export async function countTasks(knex: Knex): Promise<{ pending: number; failed: number }> {
  const result = await knex.raw(
    `select count(*) filter (where attempts < max_attempts) as pending,
            count(*) filter (where attempts >= max_attempts and locked_at is null) as failed
     from graphile_worker.jobs`,
  );
  return { pending: result.rows[0].pending, failed: result.rows[0].failed };
}

/** Brings the queue's own schema up to date. Called by `migrate`. */
export async function migrateTaskQueue(pool: Database['pool'], log: Logger): Promise<void> {
  const { runMigrations } = await import('graphile-worker');
  await runMigrations({ pgPool: pool, logger: await queueLogger(log) });
}

/**
 * The queue's log in ours. Its metadata holds whole payloads, which are not for logs, and its
 * errors about failing tasks repeat what the runner reports with the task's name.
 */
export async function queueLogger(log: Logger): Promise<QueueLogger> {
  const { Logger: QueueLogger } = await import('graphile-worker');
  return new QueueLogger((scope) => (level, message, meta) => {
    const fields = { queue: scope.label, worker: scope.workerId, task: scope.taskIdentifier };
    if (level === 'error' && meta?.failure !== true) log.warn(fields, message);
    else log.debug(fields, message);
  });
}
