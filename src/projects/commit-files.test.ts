import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CommitFiles } from './commit-files.ts';
import { createTestOrigin, project, type TestCheckouts, type TestOrigin } from './test-origin.ts';

let origin: TestOrigin;
let checkouts: TestCheckouts;
let sha: string;
beforeAll(async () => {
  origin = await createTestOrigin();
  checkouts = origin.checkoutsOf(await origin.freshDataDir());
  sha = await origin.commit({
    'ci.nix': 'first\nhash = "AAAA"; same = "AAAA";\n',
    'with space/ä.txt': 'one\ntwo\nAAAA',
    '--output=x': 'AAAA\n',
    ':(top)magic': 'magic\n',
    'new\nline': 'AAAA\n',
    binary: 'AAAA\0\n',
    'large.txt': 'x'.repeat(1024 * 1024 + 1),
    'many.txt': 'BBBB\n'.repeat(20_000),
  });
});
afterAll(() => origin.remove());

async function ask<T>(questions: (files: CommitFiles) => Promise<T>): Promise<T> {
  const answer = await checkouts.ask({ project, sha, gitRef: 'refs/heads/main' }, questions);
  if (answer.kind !== 'ready') throw new Error(answer.reason);
  return answer.value;
}

test('the files of a commit are listed, whatever they are called', async () => {
  const paths = await ask((files) => files.paths());
  expect(new Set(paths)).toEqual(
    new Set([
      '--output=x',
      ':(top)magic',
      'binary',
      'ci.nix',
      'large.txt',
      'many.txt',
      'new\nline',
      'with space/ä.txt',
    ]),
  );
});

test('a string is found in every text file, as often as it is there', async () => {
  const found = await ask((files) => files.search(['AAAA', '-e']));
  expect(found?.map(({ path, line, string }) => [path, line, string])).toEqual([
    ['--output=x', 1, 'AAAA'],
    ['ci.nix', 2, 'AAAA'],
    ['ci.nix', 2, 'AAAA'],
    ['new\nline', 1, 'AAAA'],
    ['with space/ä.txt', 3, 'AAAA'],
  ]);
  expect(await ask((files) => files.search(['nowhere']))).toEqual([]);
  // A few hundred kilobytes of places are nothing to choose from.
  expect(await ask((files) => files.search(['BBBB']))).toBeUndefined();
});

test('lines are counted in text files only, of names that are no patterns', async () => {
  const counted = await ask((files) =>
    files.lineCounts([
      'ci.nix',
      'with space/ä.txt',
      ':(top)magic',
      '--output=x',
      'binary',
      '*.txt',
      'none',
      '../ci.nix',
      '',
    ]),
  );
  expect(Object.fromEntries(counted)).toEqual({
    'ci.nix': 2,
    'with space/ä.txt': 3,
    ':(top)magic': 1,
    '--output=x': 1,
  });
});

test('a file is read whole, or not at all', async () => {
  const read = (path: string) => ask((files) => files.read(path));
  expect(await read('with space/ä.txt')).toEqual({ text: 'one\ntwo\nAAAA', executable: false });
  expect(await read('--output=x')).toMatchObject({ text: 'AAAA\n' });
  expect(await read('large.txt')).toBeUndefined();
  expect(await read('with space')).toBeUndefined();
  expect(await read('../ci.nix')).toBeUndefined();
});

test('a commit that is nowhere is said to be so', async () => {
  const nowhere = { project, sha: '0123456789'.repeat(4), gitRef: 'refs/heads/main' };
  expect(await checkouts.ask(nowhere, (files) => files.paths())).toMatchObject({ kind: 'failed' });
});
