/**
 * LISTEN: one connection of its own that stays open and comes back by itself.
 *
 * While it is away notifications are lost, so every subscriber is told (`onReconnect`) and has to
 * look at the tables again. A notification is a hint to look, never the only carrier of a fact.
 */
import pg from 'pg';
import { type Logger, messageOf } from '../basics/index.ts';
import { isConnectionError } from './connection-errors.ts';
import { connectionSettings, type Database, type Knex } from './database.ts';

export interface Subscriber {
  onNotification(payload: string): void;
  /** Called after a gap in which notifications may have been lost. */
  onReconnect?(): void;
}

export interface Listener {
  /** Resolves once notifications arrive; waits for the database while it is away. */
  subscribe(channel: string, subscriber: Subscriber): Promise<Unsubscribe>;
  close(): Promise<void>;
}

export type Unsubscribe = () => void;

/** Milliseconds between attempts to connect again: doubled from the first to the last. */
const firstDelay = 100;
const lastDelay = 5_000;

/** Sends a notification when the transaction commits. A payload has at most 7999 bytes. */
export async function notify(knex: Knex, channel: string, payload = ''): Promise<void> {
  await knex.raw('select pg_notify(?, ?)', [channel, payload]);
}

/** Starts listening; the connection is made when somebody subscribes first. */
export function createListener(database: Pick<Database, 'url'>, log: Logger): Listener {
  const subscribers = new Map<string, Set<Subscriber>>();
  const closing = new AbortController();
  /** The connection that is open, and those who wait for one. */
  let current: pg.Client | undefined;
  let waiting: Waiter[] = [];
  let running: Promise<void> | undefined;

  async function keepConnected(): Promise<void> {
    let delay = firstDelay;
    let gap = false;
    while (!closing.signal.aborted) {
      const client = new pg.Client(connectionSettings(database.url, 'ringmaster listener'));
      const ended = endOf(client, log);
      client.on('notification', ({ channel, payload }) =>
        tell(subscribers.get(channel) ?? [], (one) => one.onNotification(payload ?? '')),
      );
      try {
        await client.connect();
        for (const channel of subscribers.keys()) await client.query(listenTo(channel));
        // Closed while it was connecting: nobody else ends this connection.
        if (closing.signal.aborted) break;
        announce(client, gap);
        gap = true;
        delay = firstDelay;
        await ended;
      } catch (error) {
        log.warn({ reason: messageOf(error) }, 'cannot listen to the database, trying again');
      } finally {
        current = undefined;
        client.end().catch(() => {});
      }
      await pause(delay, closing.signal);
      delay = Math.min(delay * 2, lastDelay);
    }
  }

  function announce(client: pg.Client, gap: boolean): void {
    current = client;
    for (const waiter of waiting.splice(0)) waiter.resolve(client);
    if (gap) for (const set of subscribers.values()) tell(set, (one) => one.onReconnect?.());
  }

  /** One subscriber's bug must not cost the others their notifications. */
  function tell(set: Iterable<Subscriber>, message: (subscriber: Subscriber) => void): void {
    for (const subscriber of set) {
      try {
        message(subscriber);
      } catch (error) {
        log.error({ err: error }, 'a subscriber failed');
      }
    }
  }

  function connected(): Promise<pg.Client> {
    closing.signal.throwIfAborted();
    running ??= keepConnected();
    return current
      ? Promise.resolve(current)
      : new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  }

  async function listenOn(channel: string): Promise<void> {
    const client = await connected();
    try {
      await client.query(listenTo(channel));
    } catch (error) {
      if (client === current && !isConnectionError(error)) throw error;
      if (client === current) current = undefined;
      await listenOn(channel);
    }
  }

  return {
    async subscribe(channel, subscriber) {
      const set = subscribers.get(channel) ?? new Set();
      subscribers.set(channel, set.add(subscriber));
      await listenOn(channel);
      return () => {
        set.delete(subscriber);
      };
    },
    async close() {
      closing.abort();
      for (const waiter of waiting) waiter.reject(closing.signal.reason);
      waiting = [];
      if (!current) return;
      await current.end().catch(() => {});
      await running;
    },
  };
}

interface Waiter {
  resolve(client: pg.Client): void;
  reject(reason: unknown): void;
}

/** Resolves when a connection ends for whatever reason; its errors go to the log. */
function endOf(client: pg.Client, log: Logger): Promise<void> {
  return new Promise((resolve) => {
    client.on('end', resolve);
    client.on('error', (error) => {
      log.warn({ err: error }, 'the listening database connection was lost');
      resolve();
    });
  });
}

function listenTo(channel: string): string {
  return `listen ${pg.escapeIdentifier(channel)}`;
}

/** Waits, or returns at once when the signal says so. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
  });
}
