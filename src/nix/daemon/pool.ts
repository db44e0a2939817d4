/**
 * Connections to one daemon, shared. A build has a connection to itself, since cancelling is
 * dropping the connection; short questions take turns on a few.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, OperatorError } from '../../basics/index.ts';
import type { DaemonConnection } from './connection.ts';
import type { Reply } from './events.ts';
import { type Operation, queryValidPaths } from './operations.ts';

/** A connection that nobody else uses until it is given back. */
export interface Lease {
  readonly connection: DaemonConnection;
  /** It has served before, so that it may have gone stale. */
  readonly reused: boolean;
  /** Gives it back; a broken one is dropped. */
  readonly release: () => void;
}

export interface PoolOptions {
  /** For messages. */
  readonly name: string;
  readonly open: () => Promise<DaemonConnection>;
}

/** Questions at the same time, all builds apart. */
const parallelQueries = 2;

/** Milliseconds without an answer after which a question fails. Substituters can take their time. */
const queryTimeout = 10 * 60_000;

/**
 * Milliseconds. A daemon's process remembers which paths were valid and protects what it has built
 * from the collector, so it must neither idle nor live for ever.
 */
const lifetime = { idle: 60_000, total: 10 * 60_000 } as const;

/** Milliseconds: a connection idle for longer is asked something before it is used, and how long that may take. */
const check = { after: 5_000, timeout: 10_000 } as const;

/** Tries to open a store whose database is busy, and milliseconds of rest after the first. */
const busyTries = 6;
const busyMs = 50;

interface Idle {
  readonly connection: DaemonConnection;
  readonly born: number;
  readonly since: number;
  readonly timer: NodeJS.Timeout;
}

export class ConnectionPool {
  readonly #options: PoolOptions;
  readonly #idle: Idle[] = [];
  readonly #leased = new Set<DaemonConnection>();
  readonly #closing = new Set<Promise<void>>();
  readonly #waiting: (() => void)[] = [];
  #queries = 0;
  /** Whether a connection was ever opened, and the attempt at the first one. */
  #opened = false;
  #opening: Promise<void> | undefined;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** A connection, idle or new. Rejects with an OperatorError when there is none to be had. */
  async lease(want: 'any' | 'fresh' = 'any'): Promise<Lease> {
    this.#refuseWhenClosed();
    if (want === 'any') {
      for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
        clearTimeout(idle.timer);
        if (await healthy(idle)) return this.#hand(idle.connection, idle.born, true);
        this.#drop(idle.connection);
      }
    }
    const connection = await this.#open();
    if (this.#closed) {
      await connection.close();
      this.#refuseWhenClosed();
    }
    return this.#hand(connection, Date.now(), false);
  }

  /** Asks a short question, once more on a fresh connection if the first one broke. */
  async query<T>(operation: Operation<T>, timeoutMs = queryTimeout): Promise<Reply<T>> {
    await this.#turn();
    try {
      const first = await this.lease();
      try {
        return await first.connection.call(operation, { timeoutMs });
      } catch (error) {
        if (!first.reused) throw this.#unreachable(error);
      } finally {
        first.release();
      }
      const second = await this.lease('fresh');
      try {
        return await second.connection.call(operation, { timeoutMs });
      } catch (error) {
        throw this.#unreachable(error);
      } finally {
        second.release();
      }
    } finally {
      this.#queries--;
      this.#waiting.shift()?.();
    }
  }

  /** Drops every connection, busy ones too, and waits until all of them are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const idle of this.#idle.splice(0)) {
      clearTimeout(idle.timer);
      this.#drop(idle.connection);
    }
    for (const connection of this.#leased) this.#drop(connection);
    await Promise.allSettled(this.#closing);
  }

  async #turn(): Promise<void> {
    while (this.#queries >= parallelQueries) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#queries++;
  }

  #hand(connection: DaemonConnection, born: number, reused: boolean): Lease {
    this.#leased.add(connection);
    const release = () => {
      if (this.#leased.delete(connection)) this.#takeBack(connection, born);
    };
    return { connection, reused, release };
  }

  #takeBack(connection: DaemonConnection, born: number): void {
    const old = Date.now() - born > lifetime.total;
    if (this.#closed || !connection.usable || old) {
      this.#drop(connection);
      return;
    }
    const timer = setTimeout(() => {
      const index = this.#idle.findIndex((idle) => idle.connection === connection);
      if (index >= 0) this.#idle.splice(index, 1);
      this.#drop(connection);
    }, lifetime.idle);
    timer.unref();
    this.#idle.push({ connection, born, since: Date.now(), timer });
  }

  #drop(connection: DaemonConnection): void {
    const closing = connection.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** The first one alone: it may have to make the store, and daemons that do so at once break each other. */
  async #open(): Promise<DaemonConnection> {
    while (this.#opening !== undefined) await this.#opening;
    if (this.#opened) return this.#openPatiently();
    const opening = this.#openPatiently();
    this.#opening = opening.then(
      () => {
        this.#opened = true;
        this.#opening = undefined;
      },
      () => {
        this.#opening = undefined;
      },
    );
    return opening;
  }

  async #openPatiently(): Promise<DaemonConnection> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#options.open();
      } catch (error) {
        // Other processes may be making a fresh store at the same time.
        if (tries === busyTries || this.#closed || !/ is busy|: File exists/.test(messageOf(error))) {
          throw this.#unreachable(error);
        }
        await pause(busyMs * tries);
      }
    }
  }

  #unreachable(error: unknown): OperatorError {
    if (error instanceof OperatorError) return error;
    return new OperatorError({
      code: 'nix-store-unreachable',
      message: `The Nix store '${this.#options.name}' cannot be used: ${messageOf(error)}`,
      hint: 'Try `nix store ping` as the same user. `ringmaster doctor` checks the whole set-up.',
      cause: error,
    });
  }

  #refuseWhenClosed(): void {
    if (!this.#closed) return;
    throw new OperatorError({
      code: 'nix-store-closed',
      message: `The Nix store '${this.#options.name}' is closed: the program is shutting down.`,
    });
  }
}

async function healthy({ connection, since }: Idle): Promise<boolean> {
  if (!connection.usable || Date.now() - since < check.after) return connection.usable;
  return connection.call(queryValidPaths([]), { timeoutMs: check.timeout }).then(
    ({ ok }) => ok,
    () => false,
  );
}
