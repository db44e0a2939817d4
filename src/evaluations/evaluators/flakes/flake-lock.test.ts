/** What is said of a lock file before Nix sees it; no Nix is asked. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findLockProblem } from './flake-lock.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringmaster-flake-lock-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function problemOf(lock: string | object, allowedUris: readonly string[] = ['github:']) {
  await writeFile(join(folder, 'flake.lock'), typeof lock === 'string' ? lock : JSON.stringify(lock));
  return await findLockProblem(folder, allowedUris);
}

const lockOf = (nodes: object, version = 7) => ({ nodes, root: 'root', version });
const narHash = 'sha256-x';
const withInput = (x: object) => lockOf({ root: { inputs: { x: 'x' } }, x });

describe('an input of a lock file', () => {
  test.each([
    [{ type: 'path', path: '/etc' }, /outside the repository/],
    [{ type: 'path', path: '../etc' }, /outside the repository/],
    [{ type: 'path', path: './a/../../etc' }, /outside the repository/],
    [{ type: 'git', url: 'file:///srv/x', rev: '0'.repeat(40), narHash }, /git\+file:\/\/\/srv\/x/],
    [{ type: 'git', url: 'ext::sh -c id', narHash }, /git\+ext::sh/],
    [{ type: 'tarball', url: 'http://127.0.0.1/x', narHash }, /http:\/\/127\.0\.0\.1/],
    [{ type: 'github', owner: 'a', repo: 'b' }, /no narHash/],
    [{ type: 'github', host: '10.0.0.1', owner: 'a', repo: 'b', narHash }, /https:\/\/10\.0\.0\.1\/a\/b/],
    [{ type: 'indirect', id: 'nixpkgs' }, /'indirect'/],
  ])('that must not be fetched is refused by name: %j', async (locked, words) => {
    expect(await problemOf(withInput({ locked }))).toMatch(words);
  });

  test('that is fetched from where that is allowed is taken, on the public host by its name too', async () => {
    const locked = { type: 'github', owner: 'a', repo: 'b', narHash };
    expect(await problemOf(withInput({ locked }))).toBeUndefined();
    expect(await problemOf(withInput({ locked: { ...locked, host: 'github.com' } }))).toBeUndefined();
    expect(await problemOf(withInput({ locked }), [])).toContain("'github:a/b'");
  });

  test('at a relative path stays in the repository, seen from the flake that names it', async () => {
    const sibling = (path: string) =>
      lockOf({
        root: { inputs: { app: 'app' } },
        app: { locked: { type: 'path', path: './apps/one' }, inputs: { lib: 'lib' }, parent: [] },
        lib: { locked: { type: 'path', path }, parent: ['app'] },
      });
    expect(await problemOf(sibling('../../lib'))).toBeUndefined();
    expect(await problemOf(sibling('../../../lib'))).toContain('outside the repository');
  });

  test('of a flake that is fetched may lie anywhere in that one', async () => {
    const lock = lockOf({
      root: { inputs: { far: 'far' } },
      far: { locked: { type: 'github', owner: 'a', repo: 'b', narHash }, inputs: { lib: 'lib' } },
      lib: { locked: { type: 'path', path: '../lib' }, parent: ['far'] },
    });
    expect(await problemOf(lock)).toBeUndefined();
  });
});

describe('a lock file', () => {
  test.each([
    ['has no root', lockOf({}), /damaged: it refers to 'root'/],
    ['lacks a node', lockOf({ root: { inputs: { x: 'toString' } } }), /damaged: it refers to 'toString'/],
    ['has an input that is nothing', lockOf({ root: { inputs: { x: null } } }), /not a lock file/],
    ['is of a later version', lockOf({ root: {} }, 8), /version 8/],
    ['holds a conflict of a merge', '<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> x\n', /not a lock file/],
    ['is empty', '', /not a lock file/],
    [
      'has a node that JavaScript does not list',
      '{"nodes":{"__proto__":{"locked":{"type":"path","path":"/etc"}},"root":{"inputs":{"x":"__proto__"}}},"root":"root","version":7}',
      /not a lock file/,
    ],
  ])('that %s is refused', async (_, lock, words) => {
    expect(await problemOf(lock)).toMatch(words);
  });

  test('with follows, in a circle too, is for Nix to judge', async () => {
    expect(await problemOf(lockOf({ root: { inputs: { a: ['b'], b: ['a'] } } }, 5))).toBeUndefined();
  });

  test('of ten thousand nodes is read', async () => {
    const node = { locked: { type: 'github', owner: 'a', repo: 'b', narHash } };
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`n${index}`, node]));
    expect(await problemOf(lockOf({ root: {}, ...many }))).toBeUndefined();
  });
});
