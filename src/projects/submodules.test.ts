import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { runProcess } from '../basics/index.ts';
import { folderFor, sourceOf } from './submodules.ts';
import { serveRepositories, type TestGitServer } from './test-git-server.ts';
import { createTestOrigin, gitEnvironment, project, type TestOrigin } from './test-origin.ts';

const access = {
  repositories: ['acme/secret'],
  credentials: { username: 'x-access-token', password: 'sesame' },
};

let origin: TestOrigin;
let server: TestGitServer;
let base: string;
beforeAll(async () => {
  origin = await createTestOrigin();
  server = await serveRepositories(join(origin.base, 'served'));
  base = server.url;
});
afterEach(() => origin.afterTest());
afterAll(async () => {
  await server.close();
  await origin.remove();
});

/** A repository `acme/NAME` of one commit, with submodules at their commits. */
async function repository(
  name: string,
  files: Readonly<Record<string, string>>,
  submodules: readonly (readonly [path: string, url: string, sha: string])[] = [],
): Promise<string> {
  const path = join(origin.base, 'served/acme', `${name}.git`);
  await mkdir(path, { recursive: true });
  const git = async (...args: readonly string[]) => {
    const { exitCode, stdout, stderr } = await runProcess('git', args, { cwd: path, env: gitEnvironment });
    if (exitCode !== 0) throw new Error(stderr);
    return stdout.trim();
  };
  await git('init', '--quiet', '--initial-branch=main');
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
  const said = submodules.map(
    ([at, url]) => `[submodule "the one at ${at}"]\n\tpath = ${at}\n\turl = ${url}\n`,
  );
  if (said.length > 0) await writeFile(join(path, '.gitmodules'), said.join(''));
  await git('add', '--all');
  for (const [at, , sha] of submodules) {
    await git('update-index', '--add', '--cacheinfo', `160000,${sha},${at}`);
  }
  await git('commit', '--quiet', '--message', name);
  return git('rev-parse', 'HEAD');
}

const own = () => ({ url: `${base}/acme/rockets.git`, credentials: undefined });

describe('submodules', () => {
  test('are fetched where the repository wants them: relative, by ssh, and those of submodules', async () => {
    const bolts = await repository('bolts', { size: 'm8' });
    const engine = await repository('engine', { fuel: 'lox' }, [['parts/bolts', '../bolts', bolts]]);
    const host = new URL(base).hostname;
    const sha = await repository('rockets', { 'ci.nix': '{ }' }, [
      ['engine', '../engine.git', engine],
      ['with/depth', `git@${host}:acme/bolts.git`, bolts],
    ]);
    const checkouts = origin.checkoutsOf(await origin.freshDataDir(), own());
    const { path, absent } = await checkouts.ready({ sha, submodules: { access: undefined } });
    const files = ['engine/fuel', 'engine/parts/bolts/size', 'with/depth/size'];
    expect(await Promise.all(files.map((file) => readFile(join(path, file), 'utf8')))).toEqual([
      'lox',
      'm8',
      'm8',
    ]);
    expect(absent?.submodules).toEqual([]);
  });

  test('count with the repository that has them: together they have one limit of files', async () => {
    const many = await repository(
      'many',
      Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`f${n}`, ''])),
    );
    const sha = await repository('few', { 'ci.nix': '{ }' }, [
      ['one', '../many', many],
      ['two', '../many', many],
    ]);
    const source = { ...own(), url: `${base}/acme/few.git` };
    const request = { project, sha, gitRef: 'refs/heads/main', submodules: { access: undefined } };
    const within = async (limitEntries: number) => {
      const dataDir = await origin.freshDataDir();
      const result = await origin.checkoutsOf(dataDir, source, { limitEntries }).checkout(request);
      if (result.kind === 'ready') await result.checkout.release();
      return result;
    };
    // Four of its own: a file, `.gitmodules` and two folders.
    expect(await within(22)).toMatchObject({ kind: 'ready' });
    expect(await within(21)).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching(
        /'two' cannot be fetched: .*more than 8 files and folders, which is the limit\.$/,
      ),
    });
  });

  test('are empty folders otherwise, and named', async () => {
    const sha = await repository('plain', { 'ci.nix': '{ }' }, [['sub', '../engine', '1'.repeat(40)]]);
    const { absent } = await origin
      .checkoutsOf(await origin.freshDataDir(), { ...own(), url: `${base}/acme/plain.git` })
      .ready({ sha });
    expect(absent?.submodules).toEqual(['sub']);
  });

  test('that are private are had with access alone, whatever was fetched before', async () => {
    const secret = await repository('secret', { key: 'none' });
    const sha = await repository('reader', { 'ci.nix': '{ }' }, [['secret', '../secret', secret]]);
    const source = { ...own(), url: `${base}/acme/reader.git` };
    const checkouts = origin.checkoutsOf(await origin.freshDataDir(), source);
    const { path } = await checkouts.ready({ sha, submodules: { access } });
    expect(await readFile(join(path, 'secret/key'), 'utf8')).toBe('none');
    const request = { project, sha, gitRef: 'refs/heads/main', submodules: { access: undefined } };
    expect(await checkouts.checkout(request)).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching(/'secret' cannot be fetched: acme\/secret .*'pins'/),
    });
  });

  test.each([
    ['says nothing of it', undefined, /does not say/],
    ['runs a program', 'ext::sh -c id', /none of a repository/],
    ['is an option', '--upload-pack=id', /none of a repository/],
    ['is a file', 'file:///etc', /none of a repository/],
    ['is a folder', '/srv/git/x', /none of a repository/],
    ['is above all repositories', '../../..', /none of a repository/],
    ['is above the server', '../../../../etc', /none of a repository/],
    ['is the repository’s own inside', './x', /none of a repository/],
    ['is on another server', 'https://evil.example/acme/engine', /none of a repository/],
    ['is on another port of the server', 'http://127.0.0.1:1/acme/engine', /none of a repository/],
    ['is on another server, by ssh', 'git@evil.example:acme/engine', /none of a repository/],
  ])('whose address %s are refused', (_, url, words) => {
    const around = { projectId: 7, own: own(), of: own().url, access };
    expect(sourceOf({ path: 'sub', sha: '1'.repeat(40), url }, around)).toMatch(words);
  });

  test('get the token only where it was given for them', () => {
    const around = { projectId: 7, own: own(), of: own().url, access };
    const of = (url: string) => sourceOf({ path: 'sub', sha: '1'.repeat(40), url }, around);
    expect(of('../SECRET.git')).toMatchObject({ source: { credentials: access.credentials } });
    expect(of(`${base.replace('//', '//a:b@')}/acme/engine/`)).toMatchObject({
      source: { url: `${base}/acme/engine.git`, credentials: undefined },
    });
    expect(of('../rockets')).toEqual({ source: own(), mirror: '7' });
    expect(of('../../ada_acme/x')).toMatchObject({ source: { url: `${base}/ada_acme/x.git` } });
  });

  test('are written only into the empty folders that git made for them', async () => {
    const root = join(origin.base, 'tree');
    await mkdir(join(root, 'empty'), { recursive: true });
    await mkdir(join(root, 'full/of'), { recursive: true });
    await symlink('/tmp', join(root, 'link'));
    await symlink('full', join(root, 'inner'));
    const found = ['empty', 'full', 'full/of', 'link', 'inner/of', 'gone', '..'].map((path) =>
      folderFor(root, path),
    );
    expect(await Promise.all(found)).toEqual([
      join(root, 'empty'),
      undefined,
      join(root, 'full/of'),
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});
