/**
 * A connection to a daemon: shaken hands, settings sent, one operation at a time.
 *
 *   open ──connect──> ready ──call──> busy ──reply or daemon error──> ready
 *                                       └── protocol error, timeout, close ──> broken (for good)
 */
import { Channel, ConnectionLost, type Transport } from './channel.ts';
import { type DaemonEvent, type Reply, untilReply } from './events.ts';
import { endOfFrames, frames } from './framing.ts';
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
  /** Performs operations without waiting for each other's replies: one journey for all of them. */
  callAll<T>(operations: readonly Operation<T>[], options?: CallOptions): Promise<Reply<T>[]>;
  /**
   * Performs an operation whose reply is that many bytes, as they come: the other side is held up
   * when nobody takes them. The connection is dropped when they are not taken to the end. An error
   * of the daemon throws a DaemonRefusal, and leaves the connection as it was.
   */
  receive(operation: Operation<void>, bytes: number): AsyncGenerator<Buffer>;
  /** Drops the connection, whatever runs on it, and waits until the other side has let go. */
  close(): Promise<void>;
}

export interface CallOptions {
  readonly onEvent?: (event: DaemonEvent) => void;
  /** Milliseconds without an answer after which the connection is given up. */
  readonly timeoutMs?: number;
  /** Performed first, on the same journey, whatever the daemon replies to them. */
  readonly before?: readonly Operation<unknown>[];
}

/** The daemon answered with an error where there was to be a stream of bytes. */
export class DaemonRefusal extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DaemonRefusal';
  }
}

/**
 * Operations that are under way at once. The daemon reads one after the other, and what it has not
 * read yet lies in the pipe.
 */
const pipelined = 500;

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
  const occupy = (name: string) => {
    if (busy) throw new Error(`${name} was called on a connection that is busy`);
    busy = true;
  };
  const ask = (...operations: readonly Operation<unknown>[]) => {
    const messages = operations.map(({ code, parameters }) => encode(code, ...parameters));
    const [only] = messages;
    channel.write(only && messages.length === 1 ? only : Buffer.concat(messages));
  };
  const hear = <T>(operation: Operation<T>, options: CallOptions) => {
    const events = options.onEvent ?? limitedChatter(operation.name);
    const reply = untilReply(events, () => operation.reply(agreement.minor));
    return withTimeout(channel, options.timeoutMs, operation.name, () => channel.read(reply));
  };
  return {
    agreement,
    get usable() {
      return channel.usable;
    },
    async call(operation, options = {}) {
      occupy(operation.name);
      try {
        const { before = [] } = options;
        ask(...before, operation);
        for (const one of before) await hear(one, {});
        const reply = hear(operation, options);
        if (operation.body !== undefined) await sendBody(channel, operation.body, reply);
        return await reply;
      } finally {
        busy = false;
      }
    },
    async callAll(operations, options = {}) {
      const replies = [];
      for (let at = 0; at < operations.length; at += pipelined) {
        const some = operations.slice(at, at + pipelined);
        occupy(some[0]?.name ?? '');
        try {
          ask(...some);
          for (const operation of some) replies.push(await hear(operation, options));
        } finally {
          busy = false;
        }
      }
      return replies;
    },
    async *receive(operation, bytes) {
      occupy(operation.name);
      let left = bytes;
      try {
        ask(operation);
        const reply = await hear(operation, {});
        if (!reply.ok) {
          left = 0;
          throw new DaemonRefusal(reply.error.message);
        }
        while (left > 0) {
          const chunk = await channel.readSome(left);
          left -= chunk.length;
          yield chunk;
        }
      } finally {
        busy = false;
        if (left > 0) await channel.destroy();
      }
    },
    close: () => channel.destroy(),
  };
}

/**
 * Sends a body while the reply is awaited. A reply that comes first is a refusal; the daemon skips
 * what it has not read, up to the end of the body.
 */
async function sendBody(
  channel: Channel,
  body: AsyncIterable<Buffer>,
  reply: Promise<Reply<unknown>>,
): Promise<void> {
  let answered = false;
  const answer = () => {
    answered = true;
  };
  reply.then(answer, answer);
  try {
    for await (const frame of frames(body)) {
      if (answered) break;
      await channel.send(frame);
    }
    channel.write(endOfFrames);
  } catch (error) {
    // There is no way to tell the daemon that the rest will not come.
    channel.fail(error);
  }
}

/** Things that may be said before the reply to a question whose asker does not listen. */
const chatter = 2_000_000;

/** Counts what nobody listens to, so that a remote cannot keep talking for ever. */
function limitedChatter(operation: string): () => void {
  let heard = 0;
  return () => {
    if (++heard > chatter) throw new ProtocolError(`${operation} is not answered but talked about`, 'limit');
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
  const ready = yield* untilReply(limitedChatter('the handshake'), function* () {});
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
