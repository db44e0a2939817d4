/** Writes texts into the local store through a connection that is kept while there is work. */
import { messageOf, OperatorError } from '../basics/index.ts';
import type { StoreAccess } from './access.ts';
import {
  addTexts,
  connect,
  type DaemonConnection,
  openChildTransport,
  openSocketTransport,
  type StoreText,
} from './daemon/index.ts';
import { plainMessage } from './outcome.ts';

export interface TextWriterOptions {
  readonly access: StoreAccess;
  /** The program `nix-daemon`. */
  readonly nixDaemon: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface TextWriter {
  addTexts(texts: readonly StoreText[]): Promise<void>;
  /** Lets go of the connection. What is added later opens another. */
  close(): Promise<void>;
}

/** Milliseconds without work after which the connection is given up. */
const idleMs = 2_000;

const settings = { maxJobs: 1, cores: 1, useSubstitutes: false, fallback: false, overrides: {} };

export function createTextWriter(options: TextWriterOptions): TextWriter {
  let connection: DaemonConnection | undefined;
  let timer: NodeJS.Timeout | undefined;
  let last: Promise<unknown> = Promise.resolve();

  async function close(): Promise<void> {
    clearTimeout(timer);
    const open = connection;
    connection = undefined;
    await open?.close();
  }

  async function write(texts: readonly StoreText[]): Promise<void> {
    clearTimeout(timer);
    try {
      if (!connection?.usable) connection = await connect(await openTransport(options), settings);
      const reply = await connection.call(addTexts(texts));
      if (!reply.ok) throw new Error(plainMessage(reply.error.message));
    } catch (error) {
      await close();
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

async function openTransport({ access, nixDaemon, env }: TextWriterOptions) {
  if (access.kind === 'socket') return openSocketTransport(access.path);
  return openChildTransport({ file: nixDaemon, args: ['--stdio'], env });
}
