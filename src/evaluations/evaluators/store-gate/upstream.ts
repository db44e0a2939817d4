/**
 * The real store behind the gate: connections that are opened when the first question comes which
 * memory cannot answer, and kept until the evaluation ends, since a daemon keeps what was added
 * through a connection from being collected for as long as that lives.
 */
import {
  connect,
  type DaemonConnection,
  type DaemonEvent,
  type DaemonSettings,
  type Operation,
  setOptions,
  type Transport,
} from '../../../nix/index.ts';

export type OpenTransport = () => Promise<Transport>;

export interface Upstream {
  /** Performs an operation; what the store answers instead is thrown, as a {@link StoreRefusal}. */
  ask<T>(operation: Operation<T>, onEvent?: (event: DaemonEvent) => void): Promise<T>;
  setOptions(settings: DaemonSettings): void;
  /** Aborted when it was given back. */
  readonly ended: AbortSignal;
  /** Ends what it does; another connection is opened for what comes after. */
  interrupt(): void;
  /** Gives the connection back; one that is at work is ended, and what is built with it. */
  release(): Promise<void>;
}

/** The store could be asked, and said no. */
export class StoreRefusal extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StoreRefusal';
  }
}

export interface UpstreamPool {
  lease(): Upstream;
  close(): Promise<void>;
}

const plainSettings = { maxJobs: 1, cores: 0, useSubstitutes: true, fallback: false };

export function createUpstreamPool(
  open: OpenTransport,
  overrides: Readonly<Record<string, string>>,
): UpstreamPool {
  const idle: DaemonConnection[] = [];
  const leased = new Set<Upstream>();
  let closed = false;

  function lease(): Upstream {
    let connection: DaemonConnection | undefined;
    let settings: DaemonSettings = { ...plainSettings, overrides };
    let changed = false;
    let busy = false;
    let released = false;
    const ended = new AbortController();

    async function connected(): Promise<DaemonConnection> {
      if (released) throw new Error('the evaluation has ended');
      if (connection?.usable !== true) {
        connection = idle.pop();
        if (connection === undefined) {
          const opened = await connect(await open(), settings);
          if (released) {
            await opened.close();
            throw new Error('the evaluation has ended');
          }
          connection = opened;
          changed = false;
        } else changed = true;
      }
      if (changed) {
        changed = false;
        await connection.call(setOptions(settings));
      }
      return connection;
    }

    const upstream: Upstream = {
      ended: ended.signal,
      async ask(operation, onEvent) {
        busy = true;
        try {
          const reply = await (await connected()).call(operation, onEvent ? { onEvent } : {});
          if (reply.ok) return reply.value;
          throw new StoreRefusal(reply.error.message);
        } finally {
          busy = false;
        }
      },
      setOptions(wanted) {
        settings = { ...wanted, overrides: { ...wanted.overrides, ...overrides } };
        changed = true;
      },
      interrupt() {
        if (busy) void connection?.close();
      },
      async release() {
        released = true;
        ended.abort(new Error('the evaluation has ended'));
        leased.delete(upstream);
        if (connection === undefined) return;
        if (busy || closed || !connection.usable) await connection.close();
        else idle.push(connection);
        connection = undefined;
      },
    };
    leased.add(upstream);
    return upstream;
  }

  return {
    lease,
    close: async () => {
      closed = true;
      await Promise.all([...leased].map((upstream) => upstream.release()));
      await Promise.all(idle.splice(0).map((connection) => connection.close()));
    },
  };
}
