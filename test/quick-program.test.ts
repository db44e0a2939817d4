import { cp, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
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

/** A copy of the program, without the files that a filter refuses. */
async function withCopy(filter: (path: string) => boolean, work: (folder: string) => Promise<void>) {
  const folder = await mkdtemp(join(tmpdir(), 'ringmaster-copy-'));
  try {
    await cp(dist, join(folder, 'dist'), { recursive: true, filter });
    await cp(dirname(main), join(folder, 'bin'), { recursive: true });
    for (const name of ['node_modules', 'package.json'])
      await symlink(join(dist, '..', name), join(folder, name));
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function start(home: string, program: string, ...args: string[]) {
  const env = { PATH: process.env.PATH ?? '', HOME: home };
  return runProcess(process.execPath, [program, ...args], { env });
}

test('without the files of quick commands they do the same', async () => {
  await withCopy(
    (path) => !/quick-[^/]*$/.test(path),
    async (folder) => {
      const args = ['run', join(folder, 'nothing')];
      const slow = await start(folder, join(folder, 'bin/ringmaster.js'), ...args);
      expect(slow).toEqual(await start(folder, main, ...args));
      expect(slow.exitCode).toBe(2);
    },
  );
});

test('a file of quick commands that is older than what was compiled is left alone', async () => {
  await withCopy(
    () => true,
    async (folder) => {
      const program = join(folder, 'bin/ringmaster.js');
      const file = join(folder, 'dist/cli/quick-run.cjs');
      await writeFile(file, '(function () { console.log("the old one"); })//');
      expect((await start(folder, program, '--version')).stdout).toBe('the old one\n');
      const compiled = join(folder, 'dist/build.tsbuildinfo');
      await writeFile(compiled, '');
      await utimes(file, 1, 1);
      expect((await start(folder, program, '--version')).stdout).toMatch(/^ringmaster \d/);
    },
  );
});
