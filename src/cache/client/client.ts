/** A binary cache elsewhere as a source and a sink of store paths. */
import PQueue from 'p-queue';
import { OperatorError } from '../../basics/index.ts';
import type { PathEntry, PathInfo, PathSink, PathSource } from '../../nix/index.ts';
import { type Bytes, CompressionError, createTranscoders, type Transcoders } from '../compression.ts';
import { type NarInfo, NarInfoError, narInfoName, parseNarInfo } from '../nar-info.ts';
import { createVerifier } from '../signing.ts';
import { NarMismatch, verifiedNar } from '../verified-nar.ts';
import { type CacheRequests, createCacheRequests } from './requests.ts';
import { uploadPath } from './upload-path.ts';

export interface CacheClientOptions {
  /** `https://host/cache`. A user and password in it are used when there is no token. */
  readonly url: string;
  readonly token?: string;
  /** Public keys: what is signed with none of them is refused. Without any, signatures are not looked at. */
  readonly trustedKeys?: readonly string[];
  /** What all paths of both stores begin with; default `/nix/store`. */
  readonly storeDir?: string;
  /** Of this process: the PATH on which zstd and xz are, where Node lacks them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Ends everything that is under way. */
  readonly signal?: AbortSignal;
  readonly fetch?: typeof fetch;
  /** Tries of one request; default 6, which lasts through the restart of a server. */
  readonly tries?: number;
}

/** Every method rejects with an OperatorError when the cache cannot be used. */
export interface CacheClient extends PathSource, PathSink {}

/** Questions at the same time. */
const parallel = 16;
/** Answers that are kept, since whoever asks about a path often wants it next. */
const maxRemembered = 10_000;

interface ClientParts {
  readonly requests: CacheRequests;
  readonly transcoders: Transcoders;
  /** The narinfo of a path; undefined when the cache has none. */
  readonly describe: (path: string) => Promise<NarInfo | undefined>;
  /** What was said of a path turned out to be wrong: the next who wants it asks again. */
  readonly forget: (path: string) => void;
}

export function openCacheClient(options: CacheClientOptions): CacheClient {
  const storeDir = options.storeDir ?? '/nix/store';
  const transcoders = createTranscoders(options.environment);
  const requests = createCacheRequests({
    url: options.url,
    token: options.token,
    fetch: options.fetch ?? fetch,
    signal: options.signal,
    tries: options.tries ?? 6,
  });
  const questions = new PQueue({ concurrency: parallel });
  const remembered = new Map<string, NarInfo>();
  const ask = <T>(paths: readonly string[], question: (path: string) => Promise<T>): Promise<T[]> =>
    Promise.all([...new Set(paths)].map((path) => questions.add(() => question(path))));

  const verify = options.trustedKeys?.length ? createVerifier(options.trustedKeys) : undefined;
  const describe = async (path: string): Promise<NarInfo | undefined> => {
    const known = remembered.get(path);
    if (known !== undefined) return known;
    const narInfo = await fetchNarInfo(requests, path, storeDir);
    if (narInfo === undefined) return undefined;
    if (verify?.(path, narInfo.info, narInfo.info.signatures) === false) throw unsigned(path);
    if (remembered.size >= maxRemembered) remembered.clear();
    remembered.set(path, narInfo);
    return narInfo;
  };
  const forget = (path: string) => void remembered.delete(path);
  const parts: ClientParts = { requests, transcoders, describe, forget };

  return {
    async pathInfos(paths) {
      const found = await ask(paths, describe);
      return new Map(
        found.flatMap((narInfo) => (narInfo === undefined ? [] : [[narInfo.path, narInfo.info]])),
      );
    },
    nar: (path, info) => download(parts, path, info),
    async validPaths(paths) {
      const valid = await ask(paths, async (path) => {
        const response = await requests.send(narInfoName(path), { method: 'HEAD' });
        if (response.status === 404) return [];
        if (!response.ok) throw await requests.unexpected(response, `the question for ${path}`);
        return [path];
      });
      return new Set(valid.flat());
    },
    async add(entries: readonly PathEntry[]) {
      for (const entry of entries) await uploadPath(requests, transcoders, entry);
    },
  };
}

async function fetchNarInfo(requests: CacheRequests, path: string, storeDir: string) {
  const response = await requests.send(narInfoName(path));
  if (response.status === 404) {
    await response.body?.cancel();
    return undefined;
  }
  if (!response.ok) throw await requests.unexpected(response, `the question for ${path}`);
  try {
    const narInfo = parseNarInfo(await response.text(), storeDir);
    // The same hash and another name: it is not what was asked for.
    return narInfo.path === path ? narInfo : undefined;
  } catch (error) {
    if (error instanceof NarInfoError) throw damaged(path, error);
    throw error;
  }
}

/**
 * The NAR of a path, checked. What was received before a connection was lost is passed over in the next
 * try: a NAR is the same each time, or its hash tells.
 */
async function* download(parts: ClientParts, path: string, info: PathInfo | undefined): Bytes {
  const narInfo = await parts.describe(path);
  if (narInfo === undefined) {
    throw new OperatorError({
      code: 'cache-lacks-path',
      message: `The binary cache does not have ${path}.`,
    });
  }
  try {
    yield* verifiedNar(receive(parts, narInfo), info ?? narInfo.info);
  } catch (error) {
    if (error instanceof NarMismatch || error instanceof CompressionError) {
      parts.forget(path);
      throw damaged(path, error);
    }
    throw error;
  }
}

async function* receive({ requests, transcoders }: ClientParts, narInfo: NarInfo): Bytes {
  let received = 0;
  for (let tries = 1; ; tries++) {
    let toPassOver = received;
    try {
      const response = await requests.send(narInfo.url);
      if (!response.ok)
        throw await requests.unexpected(response, `the request for the NAR of ${narInfo.path}`);
      for await (const chunk of transcoders.decompress(narInfo.compression, bytesOf(response))) {
        const passedOver = Math.min(toPassOver, chunk.length);
        toPassOver -= passedOver;
        if (passedOver === chunk.length) continue;
        const fresh = chunk.subarray(passedOver);
        received += fresh.length;
        yield fresh;
      }
      return;
    } catch (error) {
      // Anything that was told is final; what is left is a connection that was lost.
      if (error instanceof OperatorError || error instanceof CompressionError) throw error;
      if (!(await requests.again(tries))) throw error;
    }
  }
}

async function* bytesOf(response: Response): Bytes {
  if (response.body === null) return;
  for await (const chunk of response.body) yield Buffer.from(chunk);
}

function unsigned(path: string): OperatorError {
  return new OperatorError({
    code: 'cache-signature',
    message: `The binary cache has ${path}, but not with a signature of a key that is trusted here.`,
    hint: "'ringmaster cache key' on the server prints its public key.",
  });
}

function damaged(path: string, cause: Error): OperatorError {
  return new OperatorError({
    code: 'cache-damaged',
    message: `What the binary cache sent for ${path} is damaged: ${cause.message}`,
    hint: 'If it happens again, repair the store of that cache: nix-store --verify --check-contents --repair.',
    cause,
  });
}
