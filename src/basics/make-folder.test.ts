import { mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeFolder } from './make-folder.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringmaster-folder-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('makes a folder with those above it, also when several do so at once, and leaves one that is there', async () => {
  const path = join(folder, 'a', 'b', 'c');
  await Promise.all([1, 2, 3, 4].map(() => makeFolder(path, 0o700)));
  expect((await stat(path)).mode & 0o777).toBe(0o700);
  await symlink(path, join(folder, 'link'));
  await makeFolder(join(folder, 'link'), 0o755);
  await makeFolder('/', 0o755);
  expect((await stat(path)).mode & 0o777).toBe(0o700);
});

it('says so where a file is in the way', async () => {
  await writeFile(join(folder, 'file'), '');
  await expect(makeFolder(join(folder, 'file'), 0o700)).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeFolder(join(folder, 'file', 'x'), 0o700)).rejects.toMatchObject({ code: 'ENOTDIR' });
});

it('ends below a link to nowhere', async () => {
  await symlink(join(folder, 'unmounted'), join(folder, 'disk'));
  await expect(makeFolder(join(folder, 'disk', 'x'), 0o700)).rejects.toMatchObject({ code: 'EEXIST' });
});

it.runIf(process.platform === 'linux')('ends where the system lets nobody make anything', async () => {
  await expect(makeFolder('/proc/ringmaster/data', 0o700)).rejects.toMatchObject({ code: 'ENOENT' });
});
