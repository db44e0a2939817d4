/** The operations that move store paths: what is known of them, and their content as a NAR. */
import { type Operation, time } from './operations.ts';
import { boolean, type Decoder, encode, integer, type Part, ProtocolError, path, set, word } from './wire.ts';

export interface PathInfo {
  readonly deriver: string | undefined;
  /** SHA-256 of the NAR in base 16, without a prefix. */
  readonly narHash: string;
  readonly narBytes: number;
  readonly references: ReadonlySet<string>;
  readonly registeredAt: Date;
  /** Built here, so trusted without a signature. */
  readonly ultimate: boolean;
  readonly signatures: ReadonlySet<string>;
  readonly contentAddress: string | undefined;
}

/** What the store knows of a path, or nothing when it is not valid. */
export function queryPathInfo(storePath: string): Operation<PathInfo | undefined> {
  return { name: 'QueryPathInfo', code: 26, parameters: [storePath], reply: pathInfo };
}

/** The content of a path. The reply does not say how long it is: `PathInfo.narBytes` does. */
export function narFromPath(storePath: string): Operation<void> {
  return { name: 'NarFromPath', code: 38, parameters: [storePath], reply: nothing };
}

/** Makes a path valid, by substituting it; an error when that cannot be done. */
export function ensurePath(storePath: string): Operation<boolean> {
  return { name: 'EnsurePath', code: 10, parameters: [storePath], reply: boolean };
}

export interface IncomingPath {
  readonly path: string;
  readonly info: PathInfo;
  readonly nar: AsyncIterable<Buffer>;
}

export interface AddOptions {
  /** Paths without a known signature too. Daemons do that only for those they trust. */
  readonly unsigned: boolean;
}

const repair = false;

/** Makes one path valid. */
export function addToStoreNar(entry: IncomingPath, options: AddOptions): Operation<void> {
  return {
    name: 'AddToStoreNar',
    code: 39,
    parameters: [...describe(entry), repair, options.unsigned],
    body: entry.nar,
    reply: nothing,
  };
}

/** Makes paths valid, each after those it refers to. */
export function addMultipleToStore(entries: readonly IncomingPath[], options: AddOptions): Operation<void> {
  return {
    name: 'AddMultipleToStore',
    code: 44,
    parameters: [repair, options.unsigned],
    body: content(entries),
    reply: nothing,
  };
}

async function* content(entries: readonly IncomingPath[]): AsyncGenerator<Buffer> {
  yield encode(entries.length);
  for (const entry of entries) {
    yield encode(...describe(entry));
    yield* entry.nar;
  }
}

function describe({ path: storePath, info }: IncomingPath): readonly Part[] {
  // It was not built in that store.
  const ultimate = false;
  return [
    storePath,
    info.deriver ?? '',
    info.narHash,
    [...info.references],
    Math.floor(info.registeredAt.getTime() / 1000),
    info.narBytes,
    ultimate,
    [...info.signatures],
    info.contentAddress ?? '',
  ];
}

export function* pathInfo(): Decoder<PathInfo | undefined> {
  return (yield* boolean()) ? yield* validPathInfo() : undefined;
}

export function* validPathInfo(): Decoder<PathInfo> {
  return {
    deriver: (yield* word()) || undefined,
    narHash: yield* sha256(),
    references: yield* set(path),
    registeredAt: yield* time(),
    narBytes: yield* integer(),
    ultimate: yield* boolean(),
    signatures: yield* set(word),
    contentAddress: (yield* word()) || undefined,
  };
}

function* sha256(): Decoder<string> {
  const hash = yield* word();
  if (!/^[0-9a-f]{64}$/.test(hash)) throw new ProtocolError('the hash of a NAR is not a SHA-256 in base 16');
  return hash;
}

function* nothing(): Decoder<void> {}
