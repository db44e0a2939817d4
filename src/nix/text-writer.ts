/** Writes texts into the local store through a connection that is kept while there is work. */
import { messageOf, OperatorError } from '../basics/index.ts';
import { addTexts, connect, type DaemonConnection, queryValidPaths, type StoreText } from './daemon/index.ts';
import { openTransport, type TransportOptions } from './open-transport.ts';
import { plainMessage } from './outcome.ts';

export interface TextWriter {
  addTexts(texts: readonly StoreText[]): Promise<void>;
  /** Lets go of the connection. What is added later opens another. */
  close(): Promise<void>;
}

/** Milliseconds without work after which the connection is given up. */
const idleMs = 2_000;

/**
 * Nix 2.8 loses its place in an operation that adds many paths when it meets one that is valid
 * already, as it becomes when somebody else adds it at the same time.
 */
const maxTries = 4;

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
  let timer: NodeJS.Timeout | undefined;
  let last: Promise<unknown> = Promise.resolve();

  async function close(): Promise<void> {
    clearTimeout(timer);
    const open = connection;
    connection = undefined;
    await open?.close();
  }

  /** Returns the store's error. */
  async function tryToAdd(texts: readonly StoreText[]): Promise<string | undefined> {
    if (!connection?.usable) connection = await connect(await openTransport(options), settings);
    const known = await connection.call(queryValidPaths(texts.map(({ path }) => path)));
    if (!known.ok) return known.error.message;
    const missing = texts.filter(({ path }) => !known.value.has(path));
    if (missing.length === 0) return undefined;
    const reply = await connection.call(addTexts(missing));
    return reply.ok ? undefined : reply.error.message;
  }

  async function write(texts: readonly StoreText[]): Promise<void> {
    clearTimeout(timer);
    try {
      for (let tries = 1; ; tries += 1) {
        const problem = await tryToAdd(texts);
        if (problem === undefined) break;
        if (tries === maxTries) throw refused(plainMessage(problem));
      }
    } catch (error) {
      await close();
      if (error instanceof OperatorError && error.code === textsRefused) throw error;
      throw new OperatorError({
        code: 'derivations-not-written',
        message: `Derivations cannot be written to the Nix store: ${messageOf(error)}`,
        hint: "'ringmaster doctor' says whether the store can be used.",
        cause: error,
      });
    }
    timer = setTimeout(() => void close(), idleMs);
    timer.unref();
  }

  return {
    // One after the other, since they share the connection.
    addTexts: (texts) => {
      const written = last.then(() => write(texts));
      last = written.catch(() => {});
      return written;
    },
    close: async () => {
      await last;
      await close();
    },
  };
}
