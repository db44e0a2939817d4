/**
 * Compressing and decompressing NARs: inside this process where Node can, else by the usual
 * programs. Streams are async iterables: who stops reading stops everything before it.
 */
import { once } from 'node:events';
import { Readable, Transform } from 'node:stream';
import zlib from 'node:zlib';
import { messageOf, startProcess } from '../basics/index.ts';
import type { Compression } from './nar-info.ts';

export type Bytes = AsyncIterable<Buffer>;
type Transcode = (source: Bytes) => Bytes;

export interface Transcoders {
  /** Throws a CompressionError, at the first byte, where that cannot be decompressed here. */
  decompress(compression: Compression, source: Bytes): Bytes;
  compress(compression: 'none' | 'zstd', source: Bytes): Bytes;
}

/** The bytes cannot be decompressed, or no program for them is there. */
export class CompressionError extends Error {
  readonly reason: 'damaged' | 'unavailable';

  constructor(reason: CompressionError['reason'], message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'CompressionError';
    this.reason = reason;
  }
}

/** Level 3 of zstd is its default; NARs gain little from more, and it is as fast as most networks. */
const zstdArguments = { compress: ['-q', '-c', '-3'], decompress: ['-q', '-d', '-c'] } as const;

/** `environment` is that of the programs; its PATH says where they are. */
export function createTranscoders(environment: Readonly<Record<string, string>>): Transcoders {
  const env = { PATH: environment.PATH ?? '/usr/bin:/bin' };
  const program = (file: string, args: readonly string[]): Transcode => {
    return (source) => throughProcess(source, file, args, env);
  };
  const inside = (create: () => Transform): Transcode => {
    return (source) => throughTransform(source, create);
  };
  const zstd = {
    compress: nodeZstd('createZstdCompress'),
    decompress: nodeZstd('createZstdDecompress'),
  };
  const decompressors: Readonly<Record<Compression, Transcode>> = {
    none: (source) => source,
    zstd: zstd.decompress ? inside(zstd.decompress) : program('zstd', zstdArguments.decompress),
    // It would take any amount of memory that a file asks for; what `xz -9` made needs 65 MB.
    xz: program('xz', ['-q', '-d', '-c', '--memlimit-decompress=512MiB']),
    bzip2: program('bzip2', ['-q', '-d', '-c']),
    gzip: inside(() => zlib.createGunzip()),
    br: inside(() => zlib.createBrotliDecompress()),
  };
  const compressors = {
    none: (source: Bytes) => source,
    zstd: zstd.compress ? inside(zstd.compress) : program('zstd', zstdArguments.compress),
  };
  return {
    decompress: (compression, source) => decompressors[compression](source),
    compress: (compression, source) => compressors[compression](source),
  };
}

/** Node has zstd since 22.15. */
function nodeZstd(name: 'createZstdCompress' | 'createZstdDecompress'): (() => Transform) | undefined {
  const create: unknown = Reflect.get(zlib, name);
  if (typeof create !== 'function') return undefined;
  return () => {
    const made: unknown = create();
    if (!(made instanceof Transform)) throw new CompressionError('unavailable', `${name} made no stream`);
    return made;
  };
}

async function* throughTransform(source: Bytes, create: () => Transform): AsyncGenerator<Buffer> {
  const transform = create();
  const input = Readable.from(source);
  input.once('error', (error) => transform.destroy(error));
  input.pipe(transform);
  try {
    yield* chunksOf(transform);
  } catch (error) {
    // What went wrong before the decompressor is not its fault.
    if (input.errored) throw input.errored;
    throw new CompressionError('damaged', `the compressed data is damaged: ${messageOf(error)}`, error);
  } finally {
    input.destroy();
    transform.destroy();
  }
}

async function* throughProcess(
  source: Bytes,
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): AsyncGenerator<Buffer> {
  const stopped = new AbortController();
  const child = startProcess(file, args, { env, signal: stopped.signal });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString('utf8')}`.slice(-500);
  });
  let sourceFailure: { readonly error: unknown } | undefined;
  const closed = new Promise<void>((resolve) => child.stdin.once('close', () => resolve()));
  const feed = async () => {
    try {
      for await (const chunk of source) {
        if (child.stdin.destroyed) return;
        if (!child.stdin.write(chunk)) await Promise.race([once(child.stdin, 'drain'), closed]);
      }
      child.stdin.end();
    } catch (error) {
      sourceFailure = { error };
      stopped.abort();
    }
  };
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) =>
      reject(new CompressionError('unavailable', `'${file}' cannot be run: ${error.message}`, error)),
    );
    child.once('close', (code) => resolve(code));
  });
  ended.catch(() => child.stdout.destroy());
  const fed = feed();
  let complete = false;
  try {
    try {
      yield* chunksOf(child.stdout);
    } catch (error) {
      await ended;
      throw error;
    }
    const code = await ended;
    if (sourceFailure) throw sourceFailure.error;
    if (code !== 0)
      throw new CompressionError('damaged', `the compressed data is damaged: ${said.trim() || file}`);
    complete = true;
  } finally {
    if (!complete) stopped.abort();
    child.stdin.destroy();
    // Of a source that hangs nothing more is to be expected.
    if (complete) await fed;
  }
}

async function* chunksOf(stream: Readable): AsyncGenerator<Buffer> {
  for await (const chunk of stream) {
    if (Buffer.isBuffer(chunk)) yield chunk;
  }
}
