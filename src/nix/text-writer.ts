/**
 * Writes texts into the local store. A store collects nothing that came through a connection while
 * that lives, so each is kept for some minutes after its last work: until then, what is to stay has
 * roots of its own.
 */
import { messageOf, OperatorError } from '../basics/index.ts';
import { addTempRoot, addTexts, connect, type DaemonConnection, type StoreText } from './daemon/index.ts';
import { openTransport, type TransportOptions } from './open-transport.ts';
import { plainMessage } from './outcome.ts';

export interface TextWriter {
  addTexts(texts: readonly StoreText[]): Promise<void>;
  /** Keeps paths that are valid now from being collected for some minutes, as what is added. */
  keep(paths: readonly string[]): Promise<void>;
  /** Lets go of all that is kept. What is added later opens another connection. */
  close(): Promise<void>;
}

/** Milliseconds for which what was added is kept at least: some times as long as making roots takes. */
const keptMs = 5 * 60_000;
/** Milliseconds after which a new connection is opened, so that no list of what is kept grows for ever. */
const youngMs = 5 * 60_000;

/** Code of the error when the store answers, and will not have what it is given. */
export const textsRefused = 'derivations-refused';

function refused(reason: string): OperatorError {
  return new OperatorError({
    code: textsRefused,
    message: `The Nix store does not take the derivation: ${reason}`,
  });
}

const settings = { maxJobs: 1, cores: 1, useSubstitutes: false, fallback: false, overrides: {} };

export function createTextWriter(options: TransportOptions): TextWriter {
  let connection: DaemonConnection | undefined;
  let openedAt = 0;
  /** All that are open, with the timers of their ends. */
  const timers = new Map<DaemonConnection, NodeJS.Timeout>();
  let last: Promise<unknown> = Promise.resolve();

  async function give(up: DaemonConnection): Promise<void> {
    clearTimeout(timers.get(up));
    timers.delete(up);
    if (connection === up) connection = undefined;
    await up.close();
  }

  async function connected(): Promise<DaemonConnection> {
    if (connection && !connection.usable) await give(connection);
    if (!connection || performance.now() - openedAt > youngMs) {
      connection = await connect(await openTransport(options), settings);
      openedAt = performance.now();
    }
    const used = connection;
    clearTimeout(timers.get(used));
    timers.set(used, setTimeout(() => void give(used), keptMs).unref());
    return used;
  }

  /**
   * One operation for each, and one journey for all of them. What is valid already is kept as well. An
   * operation for many takes as long, and Nix 2.8 loses its place in it at a path that is valid already.
   * (AddToStore, which Nix itself uses for one, takes a third longer: it tells all about the path.)
   */
  async function addEach(texts: readonly StoreText[]): Promise<void> {
    const replies = await (await connected()).callAll(texts.map((text) => addTexts([text])));
    // Those that refer to what was refused are refused for that.
    for (const reply of replies) if (!reply.ok) throw refused(plainMessage(reply.error.message));
  }

  async function write(texts: readonly StoreText[]): Promise<void> {
    try {
      await addEach(texts);
    } catch (error) {
      if (error instanceof OperatorError && error.code === textsRefused) throw error;
      if (connection) await give(connection);
      throw new OperatorError({
        code: 'derivations-not-written',
        message: `Derivations cannot be written to the Nix store: ${messageOf(error)}`,
        hint: "'ringmaster doctor' says whether the store can be used.",
        cause: error,
      });
    }
  }

  async function keepEach(paths: readonly string[]): Promise<void> {
    const connection = await connected();
    for (const path of paths) await connection.call(addTempRoot(path));
  }

  return {
    // One after the other, since they share the connection.
    addTexts: (texts) => {
      const written = last.then(() => write(texts));
      last = written.catch(() => {});
      return written;
    },
    keep: (paths) => {
      if (paths.length === 0) return Promise.resolve();
      // A connection that broke is opened anew; a store that is away fails whoever needs it.
      const kept = last.then(() => keepEach(paths).catch(() => keepEach(paths))).catch(() => {});
      last = kept;
      return kept;
    },
    close: async () => {
      await last;
      await Promise.all([...timers.keys()].map(give));
    },
  };
}
