import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { identifySelf, silentLogger } from '../basics/index.ts';
import {
  findDeadProcesses,
  listProcesses,
  newTaskWorkerId,
  reapDeadProcesses,
  registerProcess,
} from './processes.ts';
import { addTask } from './task-queue.ts';
import { createTestDatabase, type TestDatabase, testServers } from './test-database.ts';

const log = silentLogger();
const options = { roles: ['web', 'scheduler'], taskWorkerIds: ['w'], log };

describe.each(testServers)('server processes on $name', (server) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase(server);
  });
  afterAll(() => database.drop());
  afterEach(() => database.knex('processes').delete());

  it('lists a process while it is registered', async () => {
    const registration = await registerProcess(database, options);
    expect(await listProcesses(database.knex)).toMatchObject([
      { id: registration.id, pid: process.pid, roles: ['web', 'scheduler'], taskWorkerIds: ['w'] },
    ]);
    expect(await findDeadProcesses(database)).toEqual([]);
    await registration.deregister();
    expect(await listProcesses(database.knex)).toEqual([]);
  });

  it('finds a process of this machine that is gone, at once', async () => {
    await registerDead();
    expect(await findDeadProcesses(database)).toMatchObject([{ host: (await identifySelf()).host }]);
  });

  it('finds a process whose pid belongs to another one now', async () => {
    const self = await identifySelf();
    await insert({ ...self, pidStarted: '1' });
    expect(await findDeadProcesses(database)).toMatchObject([{ pid: process.pid }]);
  });

  it('judges a process of another machine or container by its heartbeat alone', async () => {
    const self = await identifySelf();
    await insert({ ...self, host: 'elsewhere', pid: 2 ** 30 });
    await insert({ ...self, pidNamespace: 'pid:[1]', pid: 2 ** 30 });
    expect(await findDeadProcesses(database)).toEqual([]);
    await database.knex.raw("update processes set heartbeat_at = now() - interval '46 seconds'");
    const started = await database.knex.raw(
      "select pg_postmaster_start_time() < now() - interval '45 seconds' as long_ago",
    );
    // A database that has just been started again has heard of nobody yet.
    expect(await findDeadProcesses(database)).toHaveLength(started.rows[0].long_ago ? 2 : 0);
    expect(await findDeadProcesses(database, { silenceIsDeath: false })).toEqual([]);
  });

  it('never takes itself for dead, however long the database was away', async () => {
    await insert(await identifySelf());
    await database.knex.raw("update processes set heartbeat_at = now() - interval '1 hour'");
    expect(await findDeadProcesses(database)).toEqual([]);
  });

  it('lets exactly one of several finders reap a dead process, and gives its tasks back', async () => {
    await registerDead();
    await addTask(database.knex, 'greet', {});
    await database.knex.raw("update graphile_worker._private_jobs set locked_at = now(), locked_by = 'w'");
    let told = 0;
    const reaped = await Promise.all(
      [1, 2, 3].map(() =>
        reapDeadProcesses(database, log, async () => {
          told += 1;
        }),
      ),
    );
    expect(reaped.flat()).toHaveLength(1);
    expect(told).toBe(1);
    const held = await database.knex.raw('select locked_by from graphile_worker.jobs');
    expect(held.rows).toEqual([{ locked_by: null }]);
  });

  it('keeps a dead process for the next finder when giving back fails', async () => {
    await registerDead();
    const failing = reapDeadProcesses(database, log, () => Promise.reject(new Error('away')));
    await expect(failing).rejects.toThrow('away');
    expect(await findDeadProcesses(database)).toHaveLength(1);
  });

  it('registers again when it was taken for dead while it slept', async () => {
    const registration = await registerProcess(database, { ...options, heartbeatMs: 5 });
    await database.knex('processes').delete();
    let found = await listProcesses(database.knex);
    while (found.length === 0) found = await listProcesses(database.knex);
    expect(found).toMatchObject([{ id: registration.id }]);
    await registration.deregister();
    expect(await listProcesses(database.knex)).toEqual([]);
  });

  it('gives every task worker a name of its own', () => {
    expect(newTaskWorkerId()).not.toBe(newTaskWorkerId());
  });

  /** Registers a process of this machine that has ended since. */
  async function registerDead(): Promise<void> {
    const child = spawn('/bin/sh', ['-c', 'read x'], { stdio: ['pipe', 'ignore', 'ignore'] });
    await once(child, 'spawn');
    const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
    const self = await identifySelf();
    await insert({ ...self, pid: child.pid ?? 0, pidStarted: stat.split(' ')[21] ?? '' });
    expect(await findDeadProcesses(database)).toEqual([]);
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async function insert(one: Awaited<ReturnType<typeof identifySelf>>): Promise<void> {
    await database.knex('processes').insert({
      host: one.host,
      boot_id: one.bootId,
      pid_namespace: one.pidNamespace,
      pid: one.pid,
      pid_started: one.pidStarted,
      task_worker_ids: ['w'],
    });
  }
});
