/**
 * Bytes that are kept and seldom read again: the newest in memory, all others in a file without a
 * name, which is gone with its last user, however that ends. Where the file cannot be written, say on
 * a full disk, memory has to do.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Spool {
  /** Of all that was added. */
  readonly bytes: number;
  /** Returns where it begins. */
  add(bytes: Buffer): number;
  /** A copy of bytes that were added in one piece. */
  read(at: number, length: number): Buffer;
  /** What was added cannot be read any more. */
  close(): void;
}

/** Bytes that are collected before they are written; most spools never hold so many. */
const chunkBytes = 256 * 1024;

/** Bytes that are read from the file at once: mostly it is read in the order in which it was written. */
const windowBytes = 64 * 1024;

interface Kept {
  readonly at: number;
  readonly bytes: Buffer;
}

/** Nothing is opened before the first chunk is full. */
export function createSpool(openFile: () => number = openUnnamed): Spool {
  let file: number | undefined;
  let closed = false;
  let writable = true;
  /** Bytes of the file that are good. */
  let written = 0;
  /** A piece of the file, which never changes where it is written. */
  let window: Buffer = Buffer.alloc(0);
  let windowAt = 0;
  /** Chunks behind that which could not be written. */
  const kept: Kept[] = [];
  let newest = Buffer.alloc(0);
  let newestAt = 0;
  let total = 0;

  function toFile(bytes: Buffer): boolean {
    if (!writable) return false;
    try {
      file ??= openFile();
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(file, bytes, done, bytes.length - done, written + done);
      }
      written += bytes.length;
    } catch {
      writable = false;
    }
    return writable;
  }

  /** Makes room for a new chunk. */
  function putAside(): void {
    const chunk = newest.subarray(0, total - newestAt);
    if (chunk.length > 0 && !toFile(chunk)) kept.push({ at: newestAt, bytes: Buffer.from(chunk) });
    newestAt = total;
  }

  function readFile(at: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    while (file !== undefined && done < length) {
      const read = readSync(file, bytes, done, length - done, at + done);
      if (read === 0) break;
      done += read;
    }
    if (done < length) throw new Error('what was put aside of an evaluation cannot be read any more');
    return bytes;
  }

  function fromFile(at: number, length: number): Buffer {
    if (length > windowBytes) return readFile(at, length);
    if (at < windowAt || at + length > windowAt + window.length) {
      window = readFile(at, Math.min(windowBytes, written - at));
      windowAt = at;
    }
    return Buffer.from(window.subarray(at - windowAt, at - windowAt + length));
  }

  return {
    get bytes() {
      return total;
    },
    add(bytes) {
      if (closed) throw new Error('nothing can be put aside any more');
      if (total - newestAt + bytes.length > newest.length) {
        putAside();
        const needed = Math.max(bytes.length, chunkBytes);
        if (newest.length !== needed) newest = Buffer.allocUnsafeSlow(needed);
      }
      const at = total;
      bytes.copy(newest, at - newestAt);
      total += bytes.length;
      return at;
    },
    read(at, length) {
      if (closed) throw new Error('what was put aside was let go');
      if (at < written) return fromFile(at, length);
      const { at: from, bytes } = (at < newestAt ? kept.findLast((one) => one.at <= at) : undefined) ?? {
        at: newestAt,
        bytes: newest,
      };
      return Buffer.from(bytes.subarray(at - from, at - from + length));
    },
    close() {
      closed = true;
      newest = Buffer.alloc(0);
      window = Buffer.alloc(0);
      kept.length = 0;
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}

/** A file for this process alone, without a name. */
function openUnnamed(): number {
  const folder = mkdtempSync(join(tmpdir(), 'ringmaster-spool-'));
  try {
    return openSync(join(folder, 'texts'), 'wx+', 0o600);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
