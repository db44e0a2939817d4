import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identifySelf } from '../basics/index.ts';
import { dataDirectoryHolder, lockDataDirectory } from './data-directory-lock.ts';

describe('the lock of a data directory', () => {
  let dataDir: string;
  let file: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'ringmaster-lock-'));
    await mkdir(join(dataDir, 'lock'));
    file = join(dataDir, 'lock', '1');
  });
  afterEach(() => rm(dataDir, { recursive: true }));

  it('names its holder while it is held, and can be taken again after its release', async () => {
    const lock = await lockDataDirectory(join(dataDir, 'made', 'on', 'demand'));
    expect(await dataDirectoryHolder(lock.dataDir)).toMatchObject({ pid: process.pid });
    await lock.release();
    expect(await dataDirectoryHolder(lock.dataDir)).toBeUndefined();
    const again = await lockDataDirectory(lock.dataDir);
    expect(await dataDirectoryHolder(lock.dataDir)).toMatchObject({ pid: process.pid });
    await again.release();
    // However often it was taken, one file stays.
    expect(await readdir(join(lock.dataDir, 'lock'))).toEqual(['2']);
  });

  it('lets one in when many come at once', async () => {
    const all = await Promise.allSettled([1, 2, 3, 4, 5].map(() => lockDataDirectory(dataDir)));
    const inside = all.filter((one) => one.status === 'fulfilled');
    expect(inside).toHaveLength(1);
    expect(await readdir(join(dataDir, 'lock'))).toEqual(['1']);
    await inside[0]?.value.release();
  });

  it('lets one in when many find the lock of a dead process, again and again', async () => {
    for (let round = 0; round < 30; round += 1) {
      const [name = '1'] = await readdir(join(dataDir, 'lock'));
      await writeFile(
        join(dataDir, 'lock', name),
        JSON.stringify({ ...(await identifySelf()), pidStarted: '1' }),
      );
      const all = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataDirectory(dataDir)));
      const inside = all.filter((one) => one.status === 'fulfilled');
      expect(inside).toHaveLength(1);
      expect(await readdir(join(dataDir, 'lock'))).toHaveLength(1);
      await inside[0]?.value.release();
    }
  });

  it.each([
    ['whose pid is gone', { pid: 2 ** 30 }],
    ['whose pid belongs to another process now', { pidStarted: '1' }],
    ['from before the last boot', { bootId: 'another' }],
  ])('is taken over from a process %s', async (_what, difference) => {
    await writeFile(file, JSON.stringify({ ...(await identifySelf()), ...difference }));
    const lock = await lockDataDirectory(dataDir);
    expect(await dataDirectoryHolder(dataDir)).toEqual(await identifySelf());
    await lock.release();
  });

  it.runIf(process.platform === 'linux')('is refused at once where nothing can be made', async () => {
    await expect(lockDataDirectory('/proc/ringmaster')).rejects.toMatchObject({
      code: 'data-directory-unusable',
      exitStatus: 3,
    });
  });

  it('is taken over when a crash left it empty', async () => {
    await writeFile(file, '');
    const lock = await lockDataDirectory(dataDir);
    await lock.release();
  });

  it('of another container holds while its file is touched', async () => {
    await writeFile(file, JSON.stringify({ ...(await identifySelf()), pidNamespace: 'pid:[1]' }));
    await expect(lockDataDirectory(dataDir)).rejects.toMatchObject({ code: 'data-directory-in-use' });
    const earlier = new Date(Date.now() - 31_000);
    await utimes(file, earlier, earlier);
    const lock = await lockDataDirectory(dataDir);
    await lock.release();
  });
});
