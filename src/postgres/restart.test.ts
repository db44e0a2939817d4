import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import {
  addTask,
  countTasks,
  createListener,
  type DataDirectoryLock,
  type EmbeddedPostgres,
  lockDataDirectory,
  migrate,
  notify,
  openDatabase,
  startEmbeddedPostgres,
  startTaskRunner,
} from './index.ts';

const log = silentLogger();

describe('a restart of the database', () => {
  let dataDir: string;
  let lock: DataDirectoryLock;
  let server: EmbeddedPostgres;
  const start = () => startEmbeddedPostgres({ lock, searchPath: process.env.PATH ?? '', log });

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'ringmaster-restart-'));
    lock = await lockDataDirectory(dataDir);
    server = await start();
  });
  afterEach(async () => {
    await server.stop();
    await lock.release();
    await rm(dataDir, { recursive: true, force: true });
  });

  it.each(['orderly', 'killed'])(
    'ends nothing of ours: statements, notifications and tasks go on (%s)',
    async (how) => {
      const database = await openDatabase(server.url, log);
      await migrate(database, log);
      const events = new EventEmitter();
      const attempts: number[] = [];
      const listener = createListener(database, log);
      await listener.subscribe('news', {
        onNotification: (text) => events.emit('news', text),
        onReconnect: () => events.emit('gap'),
      });
      const runner = startTaskRunner({
        database,
        workerId: 'restart',
        log,
        handlers: {
          greet: async (payload) => {
            events.emit('task', payload);
          },
          // Holds on while the server goes away under it, so that its end cannot be noted.
          slow: async (_payload, { attempt }) => {
            attempts.push(attempt);
            events.emit('slow');
            if (attempt === 1) await once(events, 'server gone');
          },
        },
      });
      const slow = once(events, 'slow');
      await addTask(database.knex, 'slow', {});
      await slow;

      const gap = once(events, 'gap');
      if (how === 'killed') {
        // It is started again without our doing.
        process.kill(server.pid, 'SIGKILL');
        events.emit('server gone');
      } else {
        await server.stop();
        events.emit('server gone');
        server = await start();
      }

      await gap;
      const news = once(events, 'news');
      await notify(database.knex, 'news', 'hello');
      expect(await news).toEqual(['hello']);
      const task = once(events, 'task');
      await addTask(database.knex, 'greet', { after: how });
      expect(await task).toEqual([{ after: how }]);
      // The task that was under way ends, too, and is not left to a lock of four hours. (A backend may
      // outlive its killed server for a moment and note the end of the first attempt.)
      while ((await countTasks(database.knex)).pending > 0) await new Promise(setImmediate);
      if (how === 'orderly') expect(attempts).toEqual([1, 2]);

      await runner.stop();
      await listener.close();
      await database.close();
    },
  );
});
