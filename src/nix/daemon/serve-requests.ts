/**
 * What clients of a daemon ask, as far as evaluators ask it: each operation's number and how its
 * parameters are written in versions 1.34 and 1.35 of the protocol.
 *
 * A request is read whole before anything is done about it, except for the bytes of a file tree that
 * is added, which may be large: those follow in frames. Texts of derivations are read whole, too.
 */
import { validPathInfo } from './path-operations.ts';
import type { ClaimedPath } from './serve-nar.ts';
import type { ServedOptions } from './serve-service.ts';
import {
  boolean,
  bytes,
  type Decoder,
  integer,
  list,
  ProtocolError,
  path,
  wireLimits,
  word,
} from './wire.ts';

export type ServedRequest =
  | { readonly name: 'IsValidPath' | 'EnsurePath' | 'AddTempRoot' | 'QueryPathInfo'; readonly path: string }
  | { readonly name: 'QueryPathFromHashPart'; readonly hashPart: string }
  | { readonly name: 'QueryValidPaths'; readonly paths: readonly string[]; readonly substitute: boolean }
  | { readonly name: 'QuerySubstitutablePaths' | 'QueryMissing'; readonly paths: readonly string[] }
  | { readonly name: 'QueryDerivationOutputMap'; readonly path: string }
  | {
      readonly name: 'BuildPaths' | 'BuildPathsWithResults';
      readonly paths: readonly string[];
      readonly mode: number;
    }
  | { readonly name: 'AddIndirectRoot'; readonly link: string }
  | { readonly name: 'SyncWithCollector' }
  | { readonly name: 'SetOptions'; readonly options: ServedOptions }
  | ({ readonly name: 'AddDerivation'; readonly content: Buffer } & AddedContent)
  /** The frames of the content are still to be read. */
  | ({ readonly name: 'AddToStore'; readonly method: string } & AddedContent)
  | ({ readonly name: 'AddToStoreNar' } & ClaimedPath);

interface AddedContent {
  /** Name of the path, without its hash. */
  readonly fileName: string;
  readonly references: readonly string[];
}

/** The operation is not served: its parameters cannot be skipped, so the connection ends with it. */
export class RefusedOperation extends Error {
  constructor(code: number) {
    super(`operation ${code} of the Nix daemon protocol is not for evaluations`);
    this.name = 'RefusedOperation';
  }
}

/** Bytes of one request, the frames of file trees apart. */
const requestBytes = wireLimits.textBytes + 16 * 1024 * 1024;
/** Most paths in one request. */
const requestPaths = 100_000;

/**
 * Reads the next request. What is wrong with it is a value, so that the client can be told; the
 * connection cannot be used any more then.
 */
export function* servedRequest(): Decoder<ServedRequest | RefusedOperation | ProtocolError> {
  let left = requestBytes;
  const decoder = anyRequest();
  try {
    let step = decoder.next();
    while (!step.done) {
      left -= step.value;
      if (left < 0) throw new ProtocolError('a request is too large', 'limit');
      step = decoder.next(yield step.value);
    }
    return step.value;
  } catch (error) {
    if (error instanceof RefusedOperation || error instanceof ProtocolError) return error;
    throw error;
  }
}

function* anyRequest(): Decoder<ServedRequest> {
  const code = yield* integer();
  switch (code) {
    case 1:
      return { name: 'IsValidPath', path: yield* path() };
    case 7:
      return yield* addToStore();
    case 9:
      return { name: 'BuildPaths', paths: yield* paths(), mode: yield* integer() };
    case 10:
      return { name: 'EnsurePath', path: yield* path() };
    case 11:
      return { name: 'AddTempRoot', path: yield* path() };
    case 12:
      return { name: 'AddIndirectRoot', link: yield* path() };
    case 13:
      return { name: 'SyncWithCollector' };
    case 19:
      return { name: 'SetOptions', options: yield* options() };
    case 26:
      return { name: 'QueryPathInfo', path: yield* path() };
    case 29:
      return { name: 'QueryPathFromHashPart', hashPart: yield* word() };
    case 31:
      return { name: 'QueryValidPaths', paths: yield* paths(), substitute: yield* boolean() };
    case 32:
      return { name: 'QuerySubstitutablePaths', paths: yield* paths() };
    case 39:
      return yield* addToStoreNar();
    case 40:
      return { name: 'QueryMissing', paths: yield* paths() };
    case 41:
      return { name: 'QueryDerivationOutputMap', path: yield* path() };
    case 46:
      return { name: 'BuildPathsWithResults', paths: yield* paths(), mode: yield* integer() };
    default:
      throw new RefusedOperation(code);
  }
}

function paths(): Decoder<string[]> {
  return list(path, requestPaths);
}

/** How a text that is named by its SHA-256 is called. */
const textMethod = 'text:sha256';

function* addToStore(): Decoder<ServedRequest> {
  const fileName = yield* word();
  const method = yield* word();
  const references = yield* paths();
  // Whether a damaged path is to be repaired: not for evaluations to say.
  yield* boolean();
  if (method !== textMethod || !fileName.endsWith('.drv')) {
    return { name: 'AddToStore', fileName, method, references };
  }
  return { name: 'AddDerivation', fileName, references, content: yield* frames() };
}

function* addToStoreNar(): Decoder<ServedRequest> {
  const claimed = { path: yield* path(), info: yield* validPathInfo() };
  // Whether to repair it, and to take it without a signature: not for evaluations to say.
  yield* boolean();
  yield* boolean();
  return { name: 'AddToStoreNar', ...claimed };
}

/** The content of frames, which are not padded. */
function* frames(): Decoder<Buffer> {
  const parts: Buffer[] = [];
  let left = wireLimits.textBytes;
  for (;;) {
    const length = yield* integer();
    if (length === 0) break;
    left -= length;
    if (left < 0) throw new ProtocolError('a derivation is too large', 'limit');
    parts.push(yield length);
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

function* options(): Decoder<ServedOptions> {
  yield* boolean(); // keep what failed builds leave
  const keepGoing = yield* boolean();
  const fallback = yield* boolean();
  yield* integer(); // verbosity
  const maxJobs = yield* integer();
  const maxSilentSeconds = yield* integer();
  yield* integer(); // obsolete
  yield* integer(); // verbosity of builds
  yield* integer(); // obsolete
  yield* integer(); // obsolete
  const cores = yield* integer();
  const useSubstitutes = yield* boolean();
  // Settings by name: whoever serves has settings of its own.
  yield* list(function* () {
    yield* word();
    yield* bytes(wireLimits.jsonBytes);
  }, wireLimits.fields);
  return { keepGoing, fallback, maxJobs, maxSilentSeconds, cores, useSubstitutes };
}

/** What a client says when it connects. */
export function* clientGreeting(expected: number): Decoder<void> {
  if ((yield* integer()) !== expected) throw new ProtocolError('this is not a client of a Nix daemon');
}

/** What it says once the version is agreed on, and nobody uses any more. */
export function* clientPreamble(): Decoder<void> {
  if (yield* boolean()) yield* integer();
  yield* boolean();
}
