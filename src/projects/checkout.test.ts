import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { runProcess, silentLogger } from '../basics/index.ts';
import { createCheckouts } from './checkout.ts';
import { createTestOrigin, environment, project, type TestOrigin } from './test-origin.ts';

let origin: TestOrigin;
beforeAll(async () => {
  origin = await createTestOrigin();
});
afterEach(() => origin.afterTest());
afterAll(() => origin.remove());

describe('a checkout', () => {
  test('holds the files of the commit, without .git, with title and author', async () => {
    await symlink('ci.nix', join(origin.path, 'link')).catch(() => {});
    const sha = await origin.commit({ 'ci.nix': '{ }', 'sub/run.sh': 'echo' }, 'Add ci.nix\n\nBecause.');
    const { path, title, author } = await origin.checkoutsOf(await origin.freshDataDir()).ready({ sha });
    expect(path).toMatch(/\/source$/);
    expect((await readdir(path)).sort()).toEqual(['ci.nix', 'link', 'sub']);
    expect(await readFile(join(path, 'sub/run.sh'), 'utf8')).toBe('echo');
    expect(await readlink(join(path, 'link'))).toBe('ci.nix');
    expect({ title, author }).toEqual({ title: 'Add ci.nix', author: 'Ada' });
  });

  test('leaves nothing behind when it is released, and never follows a symlink while removing', async () => {
    const precious = join(origin.base, 'precious');
    await mkdir(precious);
    await writeFile(join(precious, 'file'), 'keep me');
    await symlink(precious, join(origin.path, 'trap'));
    const sha = await origin.commit({});
    const dataDir = await origin.freshDataDir();
    const checkout = await origin.checkoutsOf(dataDir).ready({ sha });
    expect((await lstat(join(checkout.path, 'trap'))).isSymbolicLink()).toBe(true);
    await checkout.release();
    expect(await readdir(join(dataDir, 'checkouts'))).toEqual([]);
    expect(await readFile(join(precious, 'file'), 'utf8')).toBe('keep me');
    await origin.git(['rm', '--quiet', 'trap']);
  });

  test('of a commit that was fetched before asks the server for nothing', async () => {
    const sha = await origin.commit({ a: '1' });
    const checkouts = origin.checkoutsOf(await origin.freshDataDir());
    await checkouts.ready({ sha });
    await checkouts.ready({ sha });
    expect(checkouts.opened).toEqual({ count: 1, closed: 1 });
  });

  test('knows the tree of its files, which two commits with the same files share', async () => {
    const first = await origin.commit({ a: 'the same' }, 'One');
    const second = await origin.commit({}, 'Two');
    const checkouts = origin.checkoutsOf(await origin.freshDataDir());
    const { tree } = await checkouts.ready({ sha: first });
    expect(tree).toBe(await origin.git(['rev-parse', `${first}^{tree}`]));
    const looked = await checkouts.look({ project, gitRef: 'refs/heads/main', sha: second });
    expect(looked).toEqual({ kind: 'ready', commit: { tree, title: 'Two', author: 'Ada' } });
  });

  test('of two commits at once are two directories', async () => {
    const first = await origin.commit({ a: 'first' });
    const second = await origin.commit({ a: 'second' });
    const checkouts = origin.checkoutsOf(await origin.freshDataDir());
    const both = await Promise.all([checkouts.ready({ sha: first }), checkouts.ready({ sha: second })]);
    expect(await Promise.all(both.map(({ path }) => readFile(join(path, 'a'), 'utf8')))).toEqual([
      'first',
      'second',
    ]);
  });

  test('runs neither hooks nor filters that the repository asks for', async () => {
    const sha = await origin.commit({
      '.gitattributes': '*.bin filter=lfs\n',
      'big.bin': 'version https://git-lfs.github.com/spec/v1\n',
    });
    const { path } = await origin.checkoutsOf(await origin.freshDataDir()).ready({ sha });
    expect(await readFile(join(path, 'big.bin'), 'utf8')).toContain('git-lfs');
  });

  test('of a commit that the server does not have fails and names it', async () => {
    const sha = '0123456789'.repeat(4);
    await origin.commit({ a: '2' });
    const result = await origin.checkoutsOf(await origin.freshDataDir()).checkout({
      project,
      sha,
      gitRef: 'refs/heads/main',
    });
    expect(result).toMatchObject({ kind: 'failed', reason: expect.stringContaining(sha) });
  });

  test('of a commit that git refuses to write fails for good, naming the path', async () => {
    const blob = await origin.git(['hash-object', '-w', 'ci.nix']);
    const tree = (line: string) => origin.git(['mktree'], line);
    const inner = await tree(`100644 blob ${blob}\tconfig\n`);
    const outer = await tree(`040000 tree ${inner}\t.git\n`);
    const sha = await origin.git(['commit-tree', '-m', 'Sneak in', outer]);
    await origin.git(['update-ref', 'refs/heads/sneaky', sha]);
    const dataDir = await origin.freshDataDir();
    const result = await origin.checkoutsOf(dataDir).checkout({ project, sha, gitRef: 'refs/heads/sneaky' });
    expect(result).toMatchObject({ kind: 'failed', reason: expect.stringContaining('.git/config') });
    expect(await readdir(join(dataDir, 'checkouts'))).toEqual([]);
  });

  test('of a repository that is not there fails; of a server that is away can be tried later', async () => {
    const sha = await origin.commit({ a: '3' });
    const request = { project, sha, gitRef: 'refs/heads/main' };
    const gone = await origin.listen((_, response) => response.writeHead(404).end());
    const broken = await origin.listen((_, response) => response.writeHead(502).end());
    const at = async (url: string) =>
      origin
        .checkoutsOf(await origin.freshDataDir(), { url: `${url}/acme/rockets.git`, credentials: undefined })
        .checkout(request);
    expect(await at(gone)).toMatchObject({ kind: 'failed', reason: expect.stringContaining('acme/rockets') });
    expect(await at(broken)).toMatchObject({ kind: 'later', reason: expect.stringContaining('502') });
    expect(await at('http://127.0.0.1:9')).toMatchObject({ kind: 'later' });
  });

  test('passes on why access could not be opened', async () => {
    const checkouts = createCheckouts({
      dataDir: await origin.freshDataDir(),
      environment,
      log: silentLogger(),
      openAccess: async () => ({ kind: 'later', reason: 'GitHub is away' }),
    });
    const result = await checkouts.checkout({ project, sha: 'a'.repeat(40), gitRef: 'refs/heads/main' });
    expect(result).toEqual({ kind: 'later', reason: 'GitHub is away' });
  });
});

describe('credentials', () => {
  interface Seen {
    readonly server: 'own' | 'stranger';
    readonly authorization: string | undefined;
  }

  /** A checkout from a server that redirects to a stranger, who asks for credentials. */
  async function seenWhenRedirected(asksFirst: boolean): Promise<readonly Seen[]> {
    const seen: Seen[] = [];
    const ask = { 'www-authenticate': 'Basic realm="git"' };
    const stranger = await origin.listen((request, response) => {
      seen.push({ server: 'stranger', authorization: request.headers.authorization });
      response.writeHead(401, ask).end();
    });
    const own = await origin.listen((request, response) => {
      const { authorization } = request.headers;
      seen.push({ server: 'own', authorization });
      if (asksFirst && authorization === undefined) response.writeHead(401, ask).end();
      else response.writeHead(302, { location: `${stranger}${request.url}` }).end();
    });
    const checkouts = origin.checkoutsOf(await origin.freshDataDir(), {
      url: `${own}/acme/rockets.git`,
      credentials: { username: 'x-access-token', password: 'sesame' },
    });
    const result = await checkouts.checkout({ project, sha: 'a'.repeat(40), gitRef: 'refs/heads/main' });
    expect(result).toMatchObject({ kind: 'failed' });
    return seen;
  }

  test.each([
    ['after it asked for them', true],
    ['before it asked for them', false],
  ])('are not shown to a stranger that their own server redirects to %s', async (_, asksFirst) => {
    const seen = await seenWhenRedirected(asksFirst);
    const shown = seen.filter(({ authorization }) => authorization !== undefined);
    const sesame = `Basic ${Buffer.from('x-access-token:sesame').toString('base64')}`;
    expect(new Set(shown.map(({ server, authorization }) => `${server} ${authorization}`))).toEqual(
      new Set(asksFirst ? [`own ${sesame}`] : []),
    );
    expect(seen.some(({ server }) => server === 'stranger')).toBe(true);
  });

  test('are written neither to the mirror nor to the checkout', async () => {
    const sha = await origin.commit({ a: '4' });
    const dataDir = await origin.freshDataDir();
    await origin
      .checkoutsOf(dataDir, {
        url: `file://${origin.path}`,
        credentials: { username: 'x-access-token', password: 'open-sesame-4711' },
      })
      .ready({ sha });
    const found = await runProcess('grep', ['-r', 'open-sesame-4711', dataDir], { env: environment });
    expect(found).toMatchObject({ exitCode: 1, stdout: '' });
  });
});
