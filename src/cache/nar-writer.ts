/**
 * Writing NARs from the files of a store. Reading them here is several times as fast as having a
 * daemon do it, and needs no connection; what a store's files are, everybody may read.
 */
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { NarError } from './nar-reader.ts';

/** Bytes that are collected before they are passed on, and read of a file at once. */
const chunkBytes = 256 * 1024;

const slash = Buffer.from('/');

/** The NAR of a file, link or folder. Names need not be text. */
export async function* writeNar(file: string): AsyncGenerator<Buffer> {
  const pending: Buffer[] = [];
  let size = 0;
  for await (const part of archive(Buffer.from(file))) {
    pending.push(part);
    size += part.length;
    if (size < chunkBytes) continue;
    yield Buffer.concat(pending.splice(0), size);
    size = 0;
  }
  if (size > 0) yield Buffer.concat(pending, size);
}

async function* archive(root: Buffer): AsyncGenerator<Buffer> {
  yield words('nix-archive-1');
  yield* node(root);
}

async function* node(path: Buffer): AsyncGenerator<Buffer> {
  const stat = await lstat(path);
  if (stat.isSymbolicLink()) {
    yield words('(', 'type', 'symlink', 'target', await readlink(path, { encoding: 'buffer' }), ')');
  } else if (stat.isFile()) {
    const executable = (stat.mode & 0o100) !== 0;
    yield words('(', 'type', 'regular', ...(executable ? ['executable', ''] : []), 'contents');
    yield* contents(path, stat.size);
    yield words(')');
  } else if (stat.isDirectory()) {
    yield words('(', 'type', 'directory');
    const names = await readdir(path, { encoding: 'buffer' });
    for (const name of names.sort(Buffer.compare)) {
      yield words('entry', '(', 'name', name, 'node');
      yield* node(Buffer.concat([path, slash, name]));
      yield words(')');
    }
    yield words(')');
  } else throw new NarError(`'${path.toString()}' is neither file, link nor folder`);
}

/** What was promised as the size is kept, or the reader would take one thing for another. */
async function* contents(path: Buffer, size: number): AsyncGenerator<Buffer> {
  yield lengthOf(size);
  const file = await open(path, 'r');
  try {
    let at = 0;
    while (at < size) {
      const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, size - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) throw new NarError(`'${path.toString()}' became shorter while it was read`);
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
  yield paddingOf(size);
}

function words(...parts: readonly (string | Buffer)[]): Buffer {
  const chunks = parts.flatMap((part) => {
    const bytes = Buffer.from(part);
    return [lengthOf(bytes.length), bytes, paddingOf(bytes.length)];
  });
  return Buffer.concat(chunks);
}

function lengthOf(size: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(size));
  return buffer;
}

function paddingOf(size: number): Buffer {
  return Buffer.alloc((8 - (size % 8)) % 8);
}
