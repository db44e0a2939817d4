/**
 * Where uploaded NARs wait for the narinfo that says what they are. Each uploader has a folder of
 * their own, so that nobody can put something under another's name. All of it is forgotten at a
 * restart: an upload that was cut short is made again.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bytes } from './compression.ts';

export interface SpooledNar {
  readonly bytes: number;
  /** SHA-256 of the file, which may be compressed, in base 16. */
  readonly hash: string;
  read(): Bytes;
}

export interface Spool {
  /** Keeps a file until it is dropped or an hour is over. Rejects with a SpoolFull. */
  receive(owner: string, name: string, source: Bytes): Promise<SpooledNar>;
  find(owner: string, name: string): SpooledNar | undefined;
  drop(owner: string, name: string): Promise<void>;
  close(): Promise<void>;
}

/** It is more than one uploader may have waiting. */
export class SpoolFull extends Error {
  constructor(limit: number) {
    super(`more than ${limit} bytes are waiting for their narinfo`);
    this.name = 'SpoolFull';
  }
}

export interface SpoolOptions {
  /** Emptied first, and made when missing. Nobody else may use it. */
  readonly folder: string;
  /** Bytes that one uploader may have in it. */
  readonly maxBytes: number;
  /** Milliseconds; default an hour. */
  readonly keepMs?: number;
}

interface Kept extends SpooledNar {
  readonly owner: string;
  readonly file: string;
  readonly receivedAt: number;
}

export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const { folder, maxBytes } = options;
  const keepMs = options.keepMs ?? 3_600_000;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const kept = new Map<string, Kept>();
  const used = new Map<string, number>();
  const use = (owner: string, bytes: number) => {
    const total = (used.get(owner) ?? 0) + bytes;
    if (total > 0) used.set(owner, total);
    else used.delete(owner);
    return total;
  };
  const forget = async (key: string) => {
    const nar = kept.get(key);
    if (nar === undefined) return;
    kept.delete(key);
    use(nar.owner, -nar.bytes);
    await rm(nar.file, { force: true });
  };
  const clean = async () => {
    const before = performance.now() - keepMs;
    const old = [...kept].filter(([, nar]) => nar.receivedAt < before);
    for (const [key] of old) await forget(key);
  };
  const timer = setInterval(() => void clean().catch(() => {}), Math.max(1_000, keepMs / 6));
  timer.unref();

  return {
    async receive(owner, name, source) {
      const file = join(folder, randomBytes(16).toString('hex'));
      const hash = createHash('sha256');
      let bytes = 0;
      const handle = await open(file, 'wx', 0o600);
      try {
        try {
          for await (const chunk of source) {
            bytes += chunk.length;
            if (use(owner, chunk.length) > maxBytes) throw new SpoolFull(maxBytes);
            hash.update(chunk);
            await handle.write(chunk);
          }
        } finally {
          await handle.close();
        }
      } catch (error) {
        use(owner, -bytes);
        await rm(file, { force: true });
        throw error;
      }
      const key = keyOf(owner, name);
      await forget(key);
      const whole = hash.digest('hex');
      const nar = {
        owner,
        file,
        bytes,
        hash: whole,
        receivedAt: performance.now(),
        read: () => contents(file),
      };
      kept.set(key, nar);
      return nar;
    },
    find: (owner, name) => kept.get(keyOf(owner, name)),
    drop: (owner, name) => forget(keyOf(owner, name)),
    async close() {
      clearInterval(timer);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function keyOf(owner: string, name: string): string {
  return `${owner} ${name}`;
}

async function* contents(file: string): Bytes {
  for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) {
    if (Buffer.isBuffer(chunk)) yield chunk;
  }
}
