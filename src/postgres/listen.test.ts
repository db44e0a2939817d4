import { EventEmitter, once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { createListener, type Listener, notify } from './listen.ts';
import { createTestDatabase, type TestDatabase, testServers } from './test-database.ts';

describe.each(testServers)('listening to $name', (server) => {
  let database: TestDatabase;
  let listener: Listener;
  beforeAll(async () => {
    database = await createTestDatabase(server);
    listener = createListener(database, silentLogger());
  });
  afterAll(async () => {
    await listener.close();
    await database.drop();
  });

  it('hears what was committed, on its channel alone, and nothing that was rolled back', async () => {
    const heard: string[] = [];
    const events = new EventEmitter();
    await listener.subscribe('builds', {
      onNotification: (payload) => {
        heard.push(payload);
        events.emit(payload);
      },
    });
    const last = once(events, 'last');
    await notify(database.knex, 'other', 'wrong channel');
    await database.knex
      .transaction(async (trx) => {
        await notify(trx, 'builds', 'rolled back');
        throw new Error('no');
      })
      .catch(() => {});
    await database.knex.transaction((trx) => notify(trx, 'builds', 'one'));
    await notify(database.knex, 'builds', 'last');
    await last;
    expect(heard).toEqual(['one', 'last']);
  });

  it('hears nothing more after unsubscribing', async () => {
    const heard: string[] = [];
    const events = new EventEmitter();
    const unsubscribe = await listener.subscribe('quiet', { onNotification: (text) => heard.push(text) });
    await listener.subscribe('quiet', { onNotification: (text) => events.emit(text) });
    unsubscribe();
    const seen = once(events, 'x');
    await notify(database.knex, 'quiet', 'x');
    await seen;
    expect(heard).toEqual([]);
  });

  it('comes back after the connection was cut, tells of the gap, and hears again', async () => {
    const events = new EventEmitter();
    await listener.subscribe('back "again"', {
      onNotification: (payload) => events.emit('heard', payload),
      onReconnect: () => events.emit('gap'),
    });
    const gap = once(events, 'gap');
    await cut(database);
    await gap;
    const heard = once(events, 'heard');
    await notify(database.knex, 'back "again"', 'hello');
    expect(await heard).toEqual(['hello']);
  });

  it('goes on telling others when one subscriber throws', async () => {
    const events = new EventEmitter();
    await listener.subscribe('buggy', {
      onNotification: () => {
        throw new Error('a bug');
      },
    });
    await listener.subscribe('buggy', { onNotification: (text) => events.emit('heard', text) });
    const heard = once(events, 'heard');
    await notify(database.knex, 'buggy', 'still here');
    expect(await heard).toEqual(['still here']);
  });

  it('subscribes although the connection is cut at that moment', async () => {
    const events = new EventEmitter();
    const [, unsubscribe] = await Promise.all([
      cut(database),
      listener.subscribe('late', { onNotification: (text) => events.emit('heard', text) }),
    ]);
    // The cut may have come after the subscription: what counts is that it is heard in the end.
    const again = listener.subscribe('late', { onNotification: () => {} });
    await again;
    const heard = once(events, 'heard');
    await notify(database.knex, 'late', 'now');
    expect(await heard).toEqual(['now']);
    unsubscribe();
  });
});

async function cut(database: TestDatabase): Promise<void> {
  await database.knex.raw(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ringmaster listener' and datname = current_database()",
  );
}
