import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startProcess } from '../basics/index.ts';
import { serveRepositories } from './test-git-server.ts';
import { createTestOrigin, gitEnvironment, project, type TestOrigin } from './test-origin.ts';

let origin: TestOrigin;
beforeAll(async () => {
  origin = await createTestOrigin();
});
afterEach(() => origin.afterTest());
afterAll(() => origin.remove());

describe('after a kill -9', () => {
  test('lock files are removed, and what was fetched before is kept', async () => {
    const dataDir = await origin.freshDataDir();
    const first = await origin.commit({ a: '5' });
    await origin.checkoutsOf(dataDir).ready({ sha: first });
    for (const lock of ['shallow.lock', 'config.lock', 'packed-refs.lock']) {
      await writeFile(join(dataDir, 'mirrors/7.git', lock), '');
    }
    const sha = await origin.commit({ a: '6' });
    expect(await origin.checkoutsOf(dataDir).ready({ sha })).toMatchObject({ author: 'Ada' });
    const again = origin.checkoutsOf(dataDir);
    await again.ready({ sha: first });
    expect(again.opened.count).toBe(0);
  });

  test.each([
    ['an empty HEAD', 'HEAD'],
    ['an empty configuration', 'config'],
    ['a damaged list of shallow commits', 'shallow'],
  ])('a mirror with %s works again', async (_, file) => {
    const dataDir = await origin.freshDataDir();
    await origin.checkoutsOf(dataDir).ready({ sha: await origin.commit({ a: `7 ${file}` }) });
    await truncate(join(dataDir, 'mirrors/7.git', file), 0);
    const sha = await origin.commit({ a: `8 ${file}` });
    const { path } = await origin.checkoutsOf(dataDir).ready({ sha });
    expect(await readFile(join(path, 'a'), 'utf8')).toBe(`8 ${file}`);
  });

  test('a mirror whose objects are damaged is made anew', async () => {
    const dataDir = await origin.freshDataDir();
    const sha = await origin.commit({ a: '9' });
    await origin.checkoutsOf(dataDir).ready({ sha });
    const objects = join(dataDir, 'mirrors/7.git/objects');
    for (const name of await readdir(objects, { recursive: true })) {
      const file = join(objects, name);
      if (!(await lstat(file)).isFile()) continue;
      await chmod(file, 0o644);
      await truncate(file, 0);
    }
    const { path } = await origin.checkoutsOf(dataDir).ready({ sha });
    expect(await readFile(join(path, 'a'), 'utf8')).toBe('9');
  });

  test('also when what is damaged is called like trouble of a network', async () => {
    const dataDir = await origin.freshDataDir();
    const sha = await origin.commit({ certificate: 'lost' });
    await origin.checkoutsOf(dataDir).ready({ sha });
    const id = await origin.git(['rev-parse', `${sha}:certificate`]);
    await rm(join(dataDir, 'mirrors/7.git/objects', id.slice(0, 2), id.slice(2)));
    const { path } = await origin.checkoutsOf(dataDir).ready({ sha });
    expect(await readFile(join(path, 'certificate'), 'utf8')).toBe('lost');
  });

  test('the lock of a dead process does not stop the next one', async () => {
    const dataDir = await origin.freshDataDir();
    const sha = await origin.commit({ a: '10' });
    await origin.checkoutsOf(dataDir).ready({ sha });
    await writeFile(join(dataDir, 'mirrors/7.lock'), '{"half written');
    const again = origin.checkoutsOf(dataDir);
    expect(await again.ready({ sha })).toMatchObject({ author: 'Ada' });
    expect(existsSync(join(dataDir, 'mirrors/7.lock'))).toBe(false);
  });

  test('a git that was left running on the mirror is ended first', async () => {
    const dataDir = await origin.freshDataDir();
    const sha = await origin.commit({ a: '11' });
    await origin.checkoutsOf(dataDir).ready({ sha });
    const mirror = join(dataDir, 'mirrors/7.git');
    const orphan = startProcess('git', [`--git-dir=${mirror}`, 'cat-file', '--batch'], {
      env: gitEnvironment,
    });
    const ended = new Promise((resolve) => orphan.once('close', (_, signal) => resolve(signal)));
    await origin.checkoutsOf(dataDir).ready({ sha });
    expect(await ended).toBe('SIGKILL');
  });

  test('checkouts of dead processes are removed at the start, and our own stay', async () => {
    const dataDir = await origin.freshDataDir();
    const checkouts = origin.checkoutsOf(dataDir);
    const own = await checkouts.ready({ sha: await origin.commit({ a: '12' }) });
    const leftOver = join(dataDir, 'checkouts/4194303.12.0b0e/source');
    await mkdir(leftOver, { recursive: true });
    await checkouts.clean();
    expect(existsSync(leftOver)).toBe(false);
    expect(existsSync(own.path)).toBe(true);
  });
});

test('a fetch that breaks off leaves no half of a pack', async () => {
  const dataDir = await origin.freshDataDir();
  const files = Array.from({ length: 150 }, (_, index) => [
    `many/${index}`,
    randomBytes(2000).toString('hex'),
  ]);
  const sha = await origin.commit(Object.fromEntries(files));
  const network: { breaksOffAfter: number | undefined } = { breaksOffAfter: 100_000 };
  const server = await serveRepositories(origin.base, network);
  try {
    const source = { url: `${server.url}/origin/.git`, credentials: undefined };
    const request = { project, sha, gitRef: 'refs/heads/main' };
    expect(await origin.checkoutsOf(dataDir, source).checkout(request)).toMatchObject({ kind: 'later' });
    const left = await readdir(join(dataDir, 'mirrors/7.git'), { recursive: true });
    expect(left.filter((name) => /tmp_|\.lock$/.test(name))).toEqual([]);
    network.breaksOffAfter = undefined;
    expect(await origin.checkoutsOf(dataDir, source).ready({ sha })).toMatchObject({ author: 'Ada' });
  } finally {
    await server.close();
  }
});
