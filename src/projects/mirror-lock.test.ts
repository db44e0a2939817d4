import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { identifySelf } from '../basics/index.ts';
import { acquireLock } from './mirror-lock.ts';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ringmaster-mirror-lock-'));
  file = join(directory, '7.lock');
});
afterEach(() => rm(directory, { recursive: true }));

const patient = { waitMs: 30_000 };

describe("a mirror's lock", () => {
  test('is held by one at a time; the next one gets it at the release', async () => {
    const first = await acquireLock(file, patient);
    const order: string[] = [];
    const second = acquireLock(file, patient).then((lock) => {
      order.push('second');
      return lock;
    });
    expect(await acquireLock(file, { waitMs: 0 })).toBeUndefined();
    order.push('release');
    await first?.release();
    await (await second)?.release();
    expect(order).toEqual(['release', 'second']);
    expect(await readdir(directory)).toEqual([]);
  });

  test('names its holder', async () => {
    const lock = await acquireLock(file, patient);
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(await identifySelf());
    expect(lock?.takenOver).toBe(false);
    await lock?.release();
  });

  test.each([
    ['whose process is gone', { pid: 2 ** 30 }],
    ['whose pid belongs to another process now', { pidStarted: '1' }],
    ['from before the last boot', { bootId: 'another' }],
  ])('is taken over from a holder %s, and says so', async (_, difference) => {
    await writeFile(file, JSON.stringify({ ...(await identifySelf()), ...difference }));
    const lock = await acquireLock(file, { waitMs: 0 });
    expect(lock?.takenOver).toBe(true);
    await lock?.release();
    expect(await readdir(directory)).toEqual([]);
  });

  test('is never taken from a holder on another machine', async () => {
    await writeFile(
      file,
      JSON.stringify({ ...(await identifySelf()), host: 'elsewhere', bootId: 'x', pid: 2 ** 30 }),
    );
    expect(await acquireLock(file, { waitMs: 0 })).toBeUndefined();
  });

  test('is given up when the work is cancelled', async () => {
    const lock = await acquireLock(file, patient);
    const waiting = new AbortController();
    const second = acquireLock(file, { ...patient, signal: waiting.signal });
    waiting.abort();
    expect(await second).toBeUndefined();
    await lock?.release();
  });
});
