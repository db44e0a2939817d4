import { mkdir, readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readGit } from './git.ts';
import { createTestOrigin, environment, project, type TestOrigin } from './test-origin.ts';

let origin: TestOrigin;
beforeAll(async () => {
  origin = await createTestOrigin();
});
afterEach(() => origin.afterTest());
afterAll(() => origin.remove());

async function commitOf(tree: string): Promise<string> {
  const sha = await origin.git(['commit-tree', '-m', 'Strange things', tree]);
  await origin.git(['update-ref', 'refs/heads/strange', sha]);
  return sha;
}

async function checkOut(sha: string, limitBytes?: number) {
  const dataDir = await origin.freshDataDir();
  const checkouts = origin.checkoutsOf(dataDir, undefined, limitBytes === undefined ? {} : { limitBytes });
  const result = await checkouts.checkout({ project, sha, gitRef: 'refs/heads/strange' });
  if (result.kind === 'ready') await result.checkout.release();
  expect(await readdir(join(dataDir, 'checkouts'))).toEqual([]);
  return result;
}

describe('a commit is not checked out when', () => {
  test('its files are more than the limit, though git keeps them in a few kilobytes', async () => {
    const blob = await origin.git(['hash-object', '-w', '--stdin'], 'x'.repeat(1000));
    let tree = await origin.git(['mktree'], `100644 blob ${blob}\tfile\n`);
    for (let level = 0; level < 9; level += 1) {
      const entries = Array.from({ length: 10 }, (_, index) => `040000 tree ${tree}\td${index}\n`);
      tree = await origin.git(['mktree'], entries.join(''));
    }
    expect(await checkOut(await commitOf(tree), 100_000)).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching(/more than 100000 bytes.*evaluation\.checkout_limit/),
    });
  });

  test.each([
    ['a name', 1, 300],
    ['a path', 30, 200],
  ])('%s in it is longer than file systems take', async (_, depth, length) => {
    let tree = await origin.git(['mktree'], '');
    for (let level = 0; level < depth; level += 1) {
      tree = await origin.git(['mktree'], `040000 tree ${tree}\t${'d'.repeat(length)}\n`);
    }
    expect(await checkOut(await commitOf(tree))).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('longer than a file system takes'),
    });
  });
});

test('a path that git never writes is refused, and costs the other commits of the mirror nothing', async () => {
  const good = await origin.commit({ a: 'good' });
  const blob = await origin.git(['hash-object', '-w', '--stdin'], 'x');
  const tree = await origin.git(
    ['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'],
    Buffer.concat([Buffer.from('100644 ..\0'), Buffer.from(blob, 'hex')]),
  );
  const sha = await commitOf(tree);
  const checkouts = origin.checkoutsOf(await origin.freshDataDir());
  await checkouts.ready({ sha: good });
  expect(await checkouts.checkout({ project, sha, gitRef: 'refs/heads/strange' })).toMatchObject({
    kind: 'failed',
    reason: expect.stringContaining("invalid path '..'"),
  });
  await checkouts.ready({ sha: good });
  expect(checkouts.opened.count).toBe(2);
});

test('a name without end is not read to its end', async () => {
  const blob = await origin.git(['hash-object', '-w', '--stdin'], 'x');
  const tree = await origin.git(
    ['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'],
    Buffer.concat([Buffer.from(`100644 ${'d'.repeat(1_000_000)}\0`), Buffer.from(blob, 'hex')]),
  );
  const sha = await commitOf(tree);
  const lengths: number[] = [];
  await readGit(['ls-tree', '-z', sha], { cwd: origin.path, environment, timeoutMs: 60_000 }, (record) => {
    lengths.push(record.length);
    return false;
  });
  expect(lengths).toEqual([expect.toSatisfy((length: number) => length < 200_000)]);
  expect(await checkOut(sha)).toMatchObject({
    kind: 'failed',
    reason: expect.stringContaining('longer than a file system takes'),
  });
});

test('what Git LFS keeps elsewhere is named; other files of the same pattern are not', async () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 5\n`;
  const sha = await origin.commit({
    'lfs/.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n',
    'lfs/big.bin': pointer,
    'lfs/small.bin': 'kept as it is',
    'elsewhere.bin': pointer,
  });
  const { absent } = await origin.checkoutsOf(await origin.freshDataDir()).ready({ sha });
  expect(absent).toEqual({ submodules: [], pointers: ['lfs/big.bin'] });
});

test('a mirror that nobody used for a month is removed; one in use stays', async () => {
  const dataDir = await origin.freshDataDir();
  const sha = await origin.commit({ a: 'used' });
  const checkouts = origin.checkoutsOf(dataDir);
  await checkouts.ready({ sha });
  const forgotten = join(dataDir, 'mirrors/8.git');
  await mkdir(forgotten);
  const longAgo = new Date(Date.now() - 40 * 24 * 3600 * 1000);
  await utimes(forgotten, longAgo, longAgo);
  await utimes(join(dataDir, 'mirrors/7.git'), longAgo, longAgo);
  await checkouts.look({ project, sha, gitRef: 'refs/heads/main' });
  await checkouts.clean();
  expect(await readdir(join(dataDir, 'mirrors'))).toEqual(['7.git']);
});
