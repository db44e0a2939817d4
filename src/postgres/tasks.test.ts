import { EventEmitter, once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { addTask, countTasks, releaseTasksOf, removeTask } from './task-queue.ts';
import { startTaskRunner, type TaskHandler, type TaskRunner } from './tasks.ts';
import { createTestDatabase, type TestDatabase, testServers } from './test-database.ts';

const log = silentLogger();

describe.each(testServers)('background tasks on $name', (server) => {
  let database: TestDatabase;
  let events: EventEmitter;
  const runners: TaskRunner[] = [];

  beforeAll(async () => {
    database = await createTestDatabase(server);
  });
  afterAll(() => database.drop());
  beforeEach(() => {
    events = new EventEmitter();
  });
  afterEach(async () => {
    await Promise.all(runners.splice(0).map((runner) => runner.stop()));
    await database.knex.raw('delete from graphile_worker._private_jobs');
  });

  function start(handlers: Record<string, TaskHandler>, workerId = 'test-worker'): TaskRunner {
    const runner = startTaskRunner({ database, handlers, workerId, pollInterval: 100, log });
    runners.push(runner);
    return runner;
  }
  const report: TaskHandler = async (payload, context) => {
    events.emit('ran', payload, context);
  };

  it('runs a task with its payload', async () => {
    const ran = once(events, 'ran');
    start({ greet: report });
    await addTask(database.knex, 'greet', { name: 'Ada' });
    const [payload, context] = await ran;
    expect(payload).toEqual({ name: 'Ada' });
    expect(context).toMatchObject({ name: 'greet', attempt: 1, maxAttempts: 25 });
  });

  it('runs what was committed and never what was rolled back', async () => {
    const seen: unknown[] = [];
    start({
      greet: async (payload) => {
        seen.push(payload);
        events.emit('ran');
      },
    });
    const ran = once(events, 'ran');
    await database.knex
      .transaction(async (trx) => {
        await addTask(trx, 'greet', { name: 'nobody' });
        throw new Error('no');
      })
      .catch(() => {});
    await database.knex.transaction((trx) => addTask(trx, 'greet', { name: 'somebody' }));
    await ran;
    expect(seen).toEqual([{ name: 'somebody' }]);
  });

  it('keeps one waiting task per key, with the newest payload', async () => {
    const later = new Date(Date.now() + 3_600_000);
    await addTask(database.knex, 'greet', { turn: 1 }, { jobKey: 'k', runAt: later });
    await addTask(database.knex, 'greet', { turn: 2 }, { jobKey: 'k' });
    await addTask(database.knex, 'greet', { turn: 3 }, { jobKey: 'gone', runAt: later });
    await removeTask(database.knex, 'gone');
    expect(await countTasks(database.knex)).toEqual({ pending: 1, failed: 0 });
    const ran = once(events, 'ran');
    start({ greet: report });
    expect((await ran)[0]).toEqual({ turn: 2 });
  });

  it('counts a task that failed as often as it may', async () => {
    start({
      fail: async () => {
        throw new Error('always');
      },
      greet: report,
    });
    await addTask(database.knex, 'fail', {}, { maxAttempts: 1, queueName: 'one-after-the-other' });
    const ran = once(events, 'ran');
    await addTask(database.knex, 'greet', {}, { queueName: 'one-after-the-other' });
    await ran;
    expect((await countTasks(database.knex)).failed).toBe(1);
  });

  it('waits at a stop for the task under way and asks it to end', async () => {
    let ended = false;
    const runner = startTaskRunner({
      database,
      workerId: 'stopping',
      graceMs: 1,
      log,
      handlers: {
        slow: async (_payload, { signal }) => {
          events.emit('started');
          await once(signal, 'abort');
          ended = true;
        },
      },
    });
    const started = once(events, 'started');
    await addTask(database.knex, 'slow', {});
    await started;
    await runner.stop();
    expect(ended).toBe(true);
    expect(await countTasks(database.knex)).toEqual({ pending: 0, failed: 0 });
  });

  it('gives back what a dead worker held', async () => {
    await addTask(database.knex, 'greet', { held: true });
    await database.knex.raw("update graphile_worker._private_jobs set locked_at = now(), locked_by = 'dead'");
    const ran = once(events, 'ran');
    start({ greet: report });
    await releaseTasksOf(database.knex, ['dead']);
    expect((await ran)[0]).toEqual({ held: true });
  });

  it('takes up its own tasks when its pool ended because the database was away', async () => {
    const outcomes: number[] = [];
    start({
      greet: async (_payload, { attempt }) => {
        outcomes.push(attempt);
        // The database is cut off at the moment at which the end of the task is to be noted.
        if (attempt === 1) await forbid(database);
        events.emit(`attempt ${attempt}`);
      },
    });
    const first = once(events, 'attempt 1');
    const second = once(events, 'attempt 2');
    await addTask(database.knex, 'greet', {});
    await first;
    await allow(database);
    await second;
    expect(outcomes).toEqual([1, 2]);
  });
});

/** Makes noting the end of a task fail, as an unreachable database does. */
async function forbid(database: TestDatabase): Promise<void> {
  await database.knex.raw(`
    create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'away' using errcode = '57P01'; end $$;
    create trigger refuse before delete on graphile_worker._private_jobs
      for each row execute function refuse()`);
}

async function allow(database: TestDatabase): Promise<void> {
  // Only after the runner has tried and failed: it then gives its tasks back.
  for (;;) {
    const rows = await database.knex.raw(
      'select 1 from graphile_worker._private_jobs where locked_at is null or attempts > 1',
    );
    if (rows.rows.length > 0) break;
    await new Promise(setImmediate);
  }
  await database.knex.raw('drop trigger refuse on graphile_worker._private_jobs; drop function refuse()');
}
