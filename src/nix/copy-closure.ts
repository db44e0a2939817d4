/** Moving store paths with all that they refer to from one store to another. */
import { createHash } from 'node:crypto';
import PQueue from 'p-queue';
import { OperatorError } from '../basics/index.ts';
import type { PathInfo } from './daemon/index.ts';

/** Where paths come from. */
export interface PathSource {
  /** What is known of these paths; what is not there is left out. */
  pathInfos(paths: readonly string[]): Promise<ReadonlyMap<string, PathInfo>>;
  /** The NAR of a valid path. `info`, where the caller has it, spares asking again. */
  nar(path: string, info?: PathInfo): AsyncIterable<Buffer>;
}

/** One path on its way into a store. */
export interface PathEntry {
  readonly path: string;
  readonly info: PathInfo;
  /** Its NAR, exactly `info.narBytes` long. Read once, in the order of the entries. */
  readonly nar: AsyncIterable<Buffer>;
}

/** Where paths go to. */
export interface PathSink {
  /** Which of these are valid; with `substitute`, after having substituted what can be. */
  validPaths(paths: readonly string[], substitute: boolean): Promise<ReadonlySet<string>>;
  /** Adds paths, each of which comes after those it refers to. */
  add(entries: readonly PathEntry[]): Promise<void>;
}

export interface CopyRequest {
  readonly from: PathSource;
  readonly paths: readonly string[];
  /** Whether the sink fetches from its substituters what they have. */
  readonly substitute: boolean;
  readonly signal?: AbortSignal;
}

export interface CopyResult {
  /** Paths that were sent. */
  readonly paths: number;
  /** Bytes of their NARs. */
  readonly bytes: number;
}

/** Copies into one sink, and never sends a path twice at the same time. */
export interface ClosureCopier {
  copy(request: CopyRequest): Promise<CopyResult>;
}

/** Streams into one sink at the same time. One fills most lines; two hide each other's pauses. */
const parallelStreams = 2;

/** Copies the closures of paths. What the sink has already is not sent, nor what that refers to. */
export function copyClosure(request: CopyRequest & { readonly to: PathSink }): Promise<CopyResult> {
  return createClosureCopier(request.to).copy(request);
}

interface Batch {
  readonly paths: ReadonlySet<string>;
  readonly ended: Promise<unknown>;
}

export function createClosureCopier(to: PathSink): ClosureCopier {
  const streams = new PQueue({ concurrency: parallelStreams });
  const underWay = new Set<Batch>();
  /** For each search for what is missing: what has arrived since it began, whatever it found. */
  const arrivals = new Set<Set<string>>();

  const send = async (request: CopyRequest, missing: ReadonlyMap<string, PathInfo>) => {
    const entries = referencesFirst(missing).map(([path, info]) => ({
      path,
      info,
      nar: verifiedNar(path, info, request.from.nar(path, info), request.signal),
    }));
    await streams.add(async () => {
      request.signal?.throwIfAborted();
      await to.add(entries);
    });
    const bytes = entries.reduce((sum, { info }) => sum + info.narBytes, 0);
    return { paths: entries.length, bytes };
  };

  const search = async (request: CopyRequest) => {
    const arrived = new Set<string>();
    arrivals.add(arrived);
    try {
      const missing = await findMissing(to, request);
      return new Map([...missing].filter(([path]) => !arrived.has(path)));
    } finally {
      arrivals.delete(arrived);
    }
  };

  return {
    async copy(request) {
      for (;;) {
        const missing = await search(request);
        if (missing.size === 0) return { paths: 0, bytes: 0 };
        // What somebody else is sending is waited for before anything of our own is announced: so
        // nobody who is waited for waits, and what did not arrive is found missing again.
        const others = [...underWay].filter(({ paths }) =>
          [...missing.keys()].some((path) => paths.has(path)),
        );
        if (others.length > 0) {
          await Promise.allSettled(others.map(({ ended }) => ended));
          continue;
        }
        const ended = send(request, missing);
        const batch = { paths: new Set(missing.keys()), ended };
        underWay.add(batch);
        try {
          const result = await ended;
          for (const arrived of arrivals) for (const path of batch.paths) arrived.add(path);
          return result;
        } finally {
          underWay.delete(batch);
        }
      }
    },
  };
}

/**
 * What the sink lacks of the closures, in waves: what it has need not be looked into, since a valid
 * path's references are valid.
 */
async function findMissing(
  to: PathSink,
  { from, paths, substitute, signal }: CopyRequest,
): Promise<ReadonlyMap<string, PathInfo>> {
  const missing = new Map<string, PathInfo>();
  const seen = new Set(paths);
  for (let wave = [...seen]; wave.length > 0; ) {
    signal?.throwIfAborted();
    const valid = await to.validPaths(wave, substitute);
    const lacking = wave.filter((path) => !valid.has(path));
    if (lacking.length === 0) break;
    signal?.throwIfAborted();
    const infos = await from.pathInfos(lacking);
    wave = [];
    for (const path of lacking) {
      const info = infos.get(path);
      if (info === undefined) throw nowhere(path);
      missing.set(path, info);
      for (const reference of info.references) {
        if (seen.has(reference)) continue;
        seen.add(reference);
        wave.push(reference);
      }
    }
  }
  return missing;
}

/** Orders paths so that each comes after those it refers to. */
function referencesFirst(infos: ReadonlyMap<string, PathInfo>): [string, PathInfo][] {
  const ordered: [string, PathInfo][] = [];
  const seen = new Set<string>();
  // Not recursive: closures can be deeper than the stack.
  const stack = [...infos.keys()].map((path) => ({ path, done: false }));
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { path, done } = top;
    const info = infos.get(path);
    if (info === undefined || (!done && seen.has(path))) continue;
    if (done) {
      ordered.push([path, info]);
      continue;
    }
    seen.add(path);
    stack.push({ path, done: true });
    for (const reference of info.references) stack.push({ path: reference, done: false });
  }
  return ordered;
}

/** Hands on a NAR, and fails at its end when it is not the one that was announced. */
export async function* verifiedNar(
  path: string,
  info: PathInfo,
  nar: AsyncIterable<Buffer>,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of nar) {
    signal?.throwIfAborted();
    bytes += chunk.length;
    if (bytes > info.narBytes) throw mismatch(path, `is longer than ${info.narBytes} bytes`);
    hash.update(chunk);
    yield chunk;
  }
  if (bytes !== info.narBytes) throw mismatch(path, `has ${bytes} bytes, not ${info.narBytes}`);
  const got = hash.digest('hex');
  if (got !== info.narHash) throw mismatch(path, `has the hash ${got}, not ${info.narHash}`);
}

function mismatch(path: string, what: string): OperatorError {
  return new OperatorError({
    code: 'nar-mismatch',
    message: `The content of ${path} ${what} as announced.`,
    hint: 'The store that it comes from is damaged, or lies. `nix-store --verify --check-contents` tells the former.',
  });
}

function nowhere(path: string): OperatorError {
  return new OperatorError({
    code: 'path-not-available',
    message: `${path} is in neither of the two stores, and no substituter has it.`,
  });
}
