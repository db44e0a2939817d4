/**
 * How the Nix daemon protocol puts values into bytes: unsigned 64-bit little-endian integers, and
 * strings as a length, the bytes, and zeros up to a multiple of eight.
 *
 * A decoder is a generator that yields how many bytes it needs and gets exactly those. So the
 * decoders read like the protocol's grammar, know nothing of sockets, and can be tested on buffers.
 * Every length a remote sends is held against a limit before a byte of it is waited for.
 */

/** Yields a number of bytes, gets a buffer of that size, returns the value. */
export type Decoder<T> = Generator<number, T, Buffer>;

/** The most that a remote may send as one thing. Larger lengths end the connection. */
export const wireLimits = {
  /** Longest message, or line of a build's output, in bytes. */
  textBytes: 64 * 1024 * 1024,
  /** Longest store path, name, signature or other short word, in bytes. Nix's own paths end at 211. */
  wordBytes: 4096,
  /** Longest JSON value of one built output. */
  jsonBytes: 1024 * 1024,
  /** Most elements of a list or set. All of nixpkgs has some 10^5 derivations. */
  elements: 2_000_000,
  /** Most fields of one activity or trace lines of one error. */
  fields: 1024,
} as const;

/** The remote sent something that is not the protocol. The connection cannot be used any more. */
export class ProtocolError extends Error {
  /** `limit`: well-formed, but larger than what is read; `malformed`: anything else. */
  readonly reason: 'malformed' | 'limit';

  constructor(message: string, reason: ProtocolError['reason'] = 'malformed') {
    super(message);
    this.name = 'ProtocolError';
    this.reason = reason;
  }
}

/** Any unsigned integer. Activity ids need all 64 bits. */
export function* unsigned(): Decoder<bigint> {
  return (yield 8).readBigUInt64LE(0);
}

/** An integer that fits a JavaScript number. */
export function* integer(): Decoder<number> {
  const bytes = yield 8;
  const high = bytes.readUInt32LE(4);
  if (high > 0x1fffff) throw new ProtocolError('a number is larger than 2^53');
  return high * 0x1_0000_0000 + bytes.readUInt32LE(0);
}

export function* boolean(): Decoder<boolean> {
  return (yield* integer()) !== 0;
}

/** A string as bytes. The buffer may share memory with its neighbours; nobody writes to it. */
export function* bytes(limit: number): Decoder<Buffer> {
  const length = yield* length64(limit, 'string');
  if (length === 0) return Buffer.alloc(0);
  const padded = yield Math.ceil(length / 8) * 8;
  for (let index = length; index < padded.length; index++) {
    if (padded[index] !== 0) throw new ProtocolError('the padding of a string is not zero');
  }
  return padded.subarray(0, length);
}

/** A string as text; bytes that are not UTF-8 become U+FFFD. */
export function* text(limit: number = wireLimits.textBytes): Decoder<string> {
  return (yield* bytes(limit)).toString('utf8');
}

/** A short string: a path, a name, a signature. */
export function* word(): Decoder<string> {
  return yield* text(wireLimits.wordBytes);
}

/** An absolute path. */
export function* path(): Decoder<string> {
  const value = yield* word();
  if (!value.startsWith('/') || value.includes('\0')) throw new ProtocolError('a path is not absolute');
  return value;
}

export function* list<T>(element: () => Decoder<T>, limit: number = wireLimits.elements): Decoder<T[]> {
  const count = yield* length64(limit, 'list');
  const values: T[] = [];
  for (let index = 0; index < count; index++) values.push(yield* element());
  return values;
}

export function* set<T>(element: () => Decoder<T>): Decoder<Set<T>> {
  return new Set(yield* list(element));
}

function* length64(limit: number, what: string): Decoder<number> {
  const length = yield* unsigned();
  if (length > BigInt(limit)) {
    throw new ProtocolError(`a ${what} of length ${length} is over the limit of ${limit}`, 'limit');
  }
  return Number(length);
}

/** What a message is made of: integers, booleans as 0 and 1, strings, bytes, and lists of strings. */
export type Part = number | boolean | string | Buffer | readonly string[];

/** The bytes of a message, in one buffer: a thousand small ones take longer than what they hold. */
export function encode(...parts: readonly Part[]): Buffer {
  let size = 0;
  for (const part of parts) {
    if (typeof part === 'string' || Buffer.isBuffer(part)) size += bytesOfString(part);
    else {
      size += 8;
      if (typeof part === 'object') for (const element of part) size += bytesOfString(element);
    }
  }
  const message = Buffer.allocUnsafe(size);
  let at = 0;
  for (const part of parts) {
    if (typeof part === 'string' || Buffer.isBuffer(part)) at = writeString(message, part, at);
    else if (typeof part === 'object') {
      at = writeInteger(message, part.length, at);
      for (const element of part) at = writeString(message, element, at);
    } else at = writeInteger(message, Number(part), at);
  }
  return message;
}

function bytesOfString(value: string | Buffer): number {
  return 8 + padded(Buffer.byteLength(value));
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}

/** Each writes at a place, and returns the one behind. */
function writeInteger(message: Buffer, value: number, at: number): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${value} is no number of the protocol`);
  message.writeUInt32LE(value % 0x1_0000_0000, at);
  return message.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

function writeString(message: Buffer, value: string | Buffer, at: number): number {
  const start = at + 8;
  const length = typeof value === 'string' ? message.write(value, start, 'utf8') : value.copy(message, start);
  writeInteger(message, length, at);
  const end = start + padded(length);
  message.fill(0, start + length, end);
  return end;
}
