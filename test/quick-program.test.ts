import { cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';
import { expect, test } from 'vitest';
import { runProcess } from '../src/basics/index.ts';
import { programVariable } from './support/program-command.ts';

const main = process.env[programVariable] ?? '';
const dist = join(dirname(main), '../dist');

test.each(['quick-run', 'quick-log'])('what V8 has made of %s ahead is taken by this Node', async (name) => {
  const source = await readFile(join(dist, `cli/${name}.cjs`), 'latin1');
  const cache = await readFile(join(dist, `cli/${name}.cjs.cache`));
  const id = source.slice(source.lastIndexOf('//'));
  expect(id).toMatch(/^\/\/[0-9a-f]{64}$/);
  expect(cache.subarray(-id.length).toString()).toBe(id);
  const script = new Script(source, { cachedData: cache.subarray(0, -id.length) });
  expect(script.cachedDataRejected).toBe(false);
});

test('without the files of quick commands they do the same', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ringmaster-without-quick-'));
  try {
    await cp(dist, join(folder, 'dist'), {
      recursive: true,
      filter: (path) => !/quick-[^/]*$/.test(path),
    });
    await cp(dirname(main), join(folder, 'bin'), { recursive: true });
    for (const name of ['node_modules', 'package.json'])
      await symlink(join(dist, '..', name), join(folder, name));
    const start = (program: string) =>
      runProcess(process.execPath, [program, 'run', join(folder, 'nothing')], {
        env: { PATH: process.env.PATH ?? '', HOME: folder },
      });
    const slow = await start(join(folder, 'bin/ringmaster.js'));
    expect(slow).toEqual(await start(main));
    expect(slow.exitCode).toBe(2);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
