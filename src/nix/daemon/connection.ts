/**
 * A connection to a daemon: shaken hands, settings sent, one operation at a time.
 *
 *   open ──connect──> ready ──call──> busy ──reply or daemon error──> ready
 *                                       └── protocol error, timeout, close ──> broken (for good)
 */
import { Channel, ConnectionLost, type Transport } from './channel.ts';
import { type DaemonEvent, type Reply, untilReply } from './events.ts';
import { type DaemonSettings, type Operation, setOptions } from './operations.ts';
import { encodeVersion, has, magic, negotiate, newestVersion } from './versions.ts';
import { type Decoder, encode, integer, list, ProtocolError, word } from './wire.ts';

/** What the two sides agreed on. */
export interface Agreement {
  readonly minor: number;
  readonly nixVersion: string;
  /** Whether the daemon lets this client change settings; undefined when it does not tell. */
  readonly trusted: boolean | undefined;
  readonly features: readonly string[];
}

export interface DaemonConnection {
  readonly agreement: Agreement;
  /** False once the connection has failed or was closed. */
  readonly usable: boolean;
  /** Performs an operation. An error of the daemon is a value; a lost connection rejects. */
  call<T>(operation: Operation<T>, options?: CallOptions): Promise<Reply<T>>;
  /** Drops the connection, whatever runs on it, and waits until the other side has let go. */
  close(): Promise<void>;
}

export interface CallOptions {
  readonly onEvent?: (event: DaemonEvent) => void;
  /** Milliseconds without an answer after which the connection is given up. */
  readonly timeoutMs?: number;
}

/** Milliseconds for the handshake. Over ssh, that includes logging in. */
const handshakeTimeout = 60_000;

/** Shakes hands and sends the settings. */
export async function connect(transport: Transport, settings: DaemonSettings): Promise<DaemonConnection> {
  const channel = new Channel(transport);
  try {
    const agreement = await withTimeout(channel, handshakeTimeout, 'the handshake', () =>
      shakeHands(channel),
    );
    const connection = createConnection(channel, agreement);
    const reply = await connection.call(setOptions(settings), { timeoutMs: handshakeTimeout });
    if (!reply.ok) throw new ConnectionLost(`the daemon refused the settings: ${reply.error.message}`);
    return connection;
  } catch (error) {
    await channel.destroy();
    throw error;
  }
}

function createConnection(channel: Channel, agreement: Agreement): DaemonConnection {
  let busy = false;
  return {
    agreement,
    get usable() {
      return channel.usable;
    },
    async call(operation, options = {}) {
      if (busy) throw new Error(`${operation.name} was called on a connection that is busy`);
      busy = true;
      try {
        channel.write(encode(operation.code, ...operation.parameters));
        const reply = untilReply(options.onEvent ?? ignore, () => operation.reply(agreement.minor));
        return await withTimeout(channel, options.timeoutMs, operation.name, () => channel.read(reply));
      } finally {
        busy = false;
      }
    },
    close: () => channel.destroy(),
  };
}

async function shakeHands(channel: Channel): Promise<Agreement> {
  channel.write(encode(magic.client, encodeVersion(newestVersion)));
  const minor = await channel.read(greeting());
  const features: string[] = [];
  const named = has(minor, 'featureNames');
  // No optional feature is asked for, so none is ever in use.
  if (named) channel.write(encode(features));
  const affinity = 0;
  const reserveSpace = false;
  channel.write(encode(affinity, reserveSpace));
  return channel.read(introduction(minor));
}

function* greeting(): Decoder<number> {
  if ((yield* integer()) !== magic.daemon) throw new ProtocolError('this is not a Nix daemon');
  return negotiate(yield* integer());
}

function* introduction(minor: number): Decoder<Agreement> {
  const features = has(minor, 'featureNames') ? yield* list(word, 1000) : [];
  const nixVersion = yield* word();
  const trust = has(minor, 'trust') ? yield* integer() : 0;
  const ready = yield* untilReply(ignore, function* () {});
  if (!ready.ok) throw new ConnectionLost(`the daemon refused the connection: ${ready.error.message}`);
  return { minor, nixVersion, trusted: trust === 0 ? undefined : trust === 1, features };
}

async function withTimeout<T>(
  channel: Channel,
  milliseconds: number | undefined,
  what: string,
  run: () => Promise<T>,
): Promise<T> {
  if (milliseconds === undefined) return run();
  const timer = setTimeout(
    () => channel.fail(new ConnectionLost(`no answer to ${what} within ${milliseconds / 1000} s`)),
    milliseconds,
  );
  try {
    return await run();
  } finally {
    clearTimeout(timer);
  }
}

function ignore(): void {}
