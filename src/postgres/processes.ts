/**
 * Which server processes are alive. Each keeps a row fresh; whoever finds a dead one removes its
 * row and gives back what it held, in one transaction, so exactly one finder does.
 *
 * Dead means: no heartbeat for 45 s, or, seen from the same machine, no such process. So after a
 * kill -9 a restarted server finds its predecessor at once.
 */
import { hostname } from 'node:os';
import { z } from 'zod';
import {
  canJudge,
  identifySelf,
  isAlive,
  type Logger,
  messageOf,
  type ProcessIdentity,
} from '../basics/index.ts';
import type { Database, Knex } from './database.ts';
import { releaseTasksOf } from './task-queue.ts';

export interface ServerProcess extends ProcessIdentity {
  readonly id: number;
  readonly roles: readonly string[];
  readonly taskWorkerIds: readonly string[];
  readonly startedAt: Date;
  readonly heartbeatAt: Date;
}

export interface Registration {
  readonly id: number;
  /** Ends the heartbeat and removes the row. */
  deregister(): Promise<void>;
}

export interface RegistrationOptions {
  readonly roles: readonly string[];
  readonly taskWorkerIds: readonly string[];
  readonly log: Logger;
  /** Milliseconds between heartbeats. */
  readonly heartbeatMs?: number;
}

const heartbeatMs = 10_000;
/** More than four heartbeats, so that one slow database minute kills nobody. */
export const deadAfterSeconds = 45;

/** A name for a task runner that no other process has or will have. */
export function newTaskWorkerId(): string {
  return `${hostname()}-${process.pid}-${crypto.randomUUID()}`;
}

/** Says that this process is alive, now and until it is deregistered. */
export async function registerProcess(
  database: Database,
  options: RegistrationOptions,
): Promise<Registration> {
  const { knex } = database;
  const self = await identifySelf();
  const row = {
    host: self.host,
    boot_id: self.bootId,
    pid_namespace: self.pidNamespace,
    pid: self.pid,
    pid_started: self.pidStarted,
    roles: [...options.roles],
    task_worker_ids: [...options.taskWorkerIds],
  };
  const [inserted] = await knex('processes').insert(row).returning('*');
  const { id } = toProcess(inserted);

  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    // One that hangs because the database is away is not waited for by a queue of others.
    running ??= beat()
      .catch((error) => {
        options.log.warn({ reason: messageOf(error) }, 'could not say that this process is alive');
      })
      .finally(() => {
        running = undefined;
      });
  }, options.heartbeatMs ?? heartbeatMs);
  timer.unref();

  async function beat(): Promise<void> {
    const beaten = await heartbeat(knex, id);
    if (beaten) return;
    // The machine slept or the database was away for long, and others took this process for dead.
    options.log.warn('this process was taken for dead; it registers again');
    await knex('processes').insert({ ...row, id });
  }

  return {
    id,
    async deregister() {
      clearInterval(timer);
      await running;
      await knex('processes').where({ id }).delete();
    },
  };
}

/** Losing the last heartbeats in a crash of the database costs nothing, so they are not flushed. */
function heartbeat(knex: Knex, id: number): Promise<boolean> {
  return knex.transaction(async (trx) => {
    await trx.raw('set local synchronous_commit = off');
    const rows = await trx('processes').where({ id }).update({ heartbeat_at: trx.fn.now() });
    return rows === 1;
  });
}

const processRow = z
  .object({
    id: z.number(),
    host: z.string(),
    boot_id: z.string(),
    pid_namespace: z.string(),
    pid: z.number(),
    pid_started: z.string(),
    roles: z.array(z.string()),
    task_worker_ids: z.array(z.string()),
    started_at: z.date(),
    heartbeat_at: z.date(),
  })
  .transform(
    (row): ServerProcess => ({
      id: row.id,
      host: row.host,
      bootId: row.boot_id,
      pidNamespace: row.pid_namespace,
      pid: row.pid,
      pidStarted: row.pid_started,
      roles: row.roles,
      taskWorkerIds: row.task_worker_ids,
      startedAt: row.started_at,
      heartbeatAt: row.heartbeat_at,
    }),
  );

function toProcess(row: unknown): ServerProcess {
  return processRow.parse(row);
}

/** All registered processes, dead ones included. */
export async function listProcesses(knex: Knex): Promise<readonly ServerProcess[]> {
  const rows = await knex('processes').orderBy('id');
  return rows.map(toProcess);
}

/** What may be concluded from a process that has said nothing for long. */
export interface Judgement {
  /** False when the database was out of reach of the one who asks: then it may have been for all. */
  readonly silenceIsDeath?: boolean;
}

/**
 * The registered processes that are dead. The one who asks is not, whatever its row says, and after
 * a restart of the database everybody first gets the time to be heard again.
 */
export async function findDeadProcesses(
  database: Database,
  { silenceIsDeath = true }: Judgement = {},
): Promise<readonly ServerProcess[]> {
  const self = await identifySelf();
  const limit = `now() - interval '${deadAfterSeconds} s'`;
  const rows = await database
    .knex('processes')
    .select('*')
    .select(database.knex.raw(`heartbeat_at < ${limit} and pg_postmaster_start_time() < ${limit} as silent`))
    .orderBy('id');
  const dead: ServerProcess[] = [];
  for (const row of rows) {
    const found = toProcess(row);
    const near = canJudge(self, found);
    if (near && found.pid === self.pid && found.pidStarted === self.pidStarted) continue;
    if ((row.silent && silenceIsDeath) || (near && !(await isAlive(found)))) dead.push(found);
  }
  return dead;
}

/**
 * Removes dead processes and returns them. `onDead` gives back in the same transaction what each
 * held; its tasks are given back here. A process that shows life meanwhile is left alone.
 */
export async function reapDeadProcesses(
  database: Database,
  log: Logger,
  onDead: (dead: ServerProcess, trx: Knex.Transaction) => Promise<void>,
  judgement: Judgement = {},
): Promise<readonly ServerProcess[]> {
  const reaped: ServerProcess[] = [];
  for (const dead of await findDeadProcesses(database, judgement)) {
    const removed = await database.knex.transaction(async (trx) => {
      const rows = await trx('processes').where({ id: dead.id, heartbeat_at: dead.heartbeatAt }).delete();
      if (rows === 0) return false;
      await releaseTasksOf(trx, dead.taskWorkerIds);
      await onDead(dead, trx);
      return true;
    });
    if (!removed) continue;
    log.warn({ process: dead.id, host: dead.host, pid: dead.pid }, 'a server process died');
    reaped.push(dead);
  }
  return reaped;
}
