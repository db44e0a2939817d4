import { existsSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { runProcess, silentLogger, startProcess } from '../basics/index.ts';
import { type CheckoutRequest, createCheckouts } from './checkout.ts';
import type { Checkout, GitSource, Project } from './types.ts';

const environment = { PATH: process.env.PATH ?? '' };
const gitEnvironment = {
  ...environment,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.org',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.org',
};

const project: Project = {
  id: 7,
  githubRepositoryId: 70,
  installationId: 1,
  owner: 'acme',
  name: 'rockets',
  defaultBranch: 'main',
  private: false,
  enabled: true,
};

let base: string;
let origin: string;
const held: Checkout[] = [];
const servers: Server[] = [];

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'ringmaster-checkout-'));
  origin = join(base, 'origin');
  await git('init', '--quiet', '--initial-branch=main', origin);
});
afterEach(async () => {
  await Promise.all(held.splice(0).map((checkout) => checkout.release()));
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});
afterAll(() => rm(base, { recursive: true, force: true }));

async function git(...args: string[]): Promise<string> {
  const cwd = existsSync(origin) ? origin : base;
  const result = await runProcess('git', args, { cwd, env: gitEnvironment });
  if (result.exitCode !== 0) throw new Error(result.stderr);
  return result.stdout.trim();
}

async function commit(files: Record<string, string>, message = 'Change things'): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(origin, name, '..'), { recursive: true });
    await writeFile(join(origin, name), content);
  }
  await git('add', '--all');
  await git('commit', '--quiet', '--allow-empty', '--message', message);
  return git('rev-parse', 'HEAD');
}

/** Checkouts below a data directory, of the origin or of another source. */
function checkoutsOf(
  dataDir: string,
  source: GitSource = { url: `file://${origin}`, credentials: undefined },
) {
  const opened = { count: 0, closed: 0 };
  const checkouts = createCheckouts({
    dataDir,
    environment,
    log: silentLogger(),
    openAccess: async () => {
      opened.count += 1;
      const close = async () => {
        opened.closed += 1;
      };
      return { kind: 'ready', source, close };
    },
  });
  async function ready(request: Partial<CheckoutRequest> & { sha: string }): Promise<Checkout> {
    const result = await checkouts.checkout({ project, gitRef: 'refs/heads/main', ...request });
    if (result.kind !== 'ready') throw new Error(`${result.kind}: ${result.reason}`);
    held.push(result.checkout);
    return result.checkout;
  }
  return { ...checkouts, ready, opened };
}

async function listen(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}

const freshDataDir = () => mkdtemp(join(base, 'data-'));

describe('a checkout', () => {
  test('holds the files of the commit, without .git, with title and author', async () => {
    await symlink('ci.nix', join(origin, 'link')).catch(() => {});
    const sha = await commit({ 'ci.nix': '{ }', 'sub/run.sh': 'echo' }, 'Add ci.nix\n\nBecause.');
    const { path, title, author } = await checkoutsOf(await freshDataDir()).ready({ sha });
    expect(path).toMatch(/\/source$/);
    expect((await readdir(path)).sort()).toEqual(['ci.nix', 'link', 'sub']);
    expect(await readFile(join(path, 'sub/run.sh'), 'utf8')).toBe('echo');
    expect(await readlink(join(path, 'link'))).toBe('ci.nix');
    expect({ title, author }).toEqual({ title: 'Add ci.nix', author: 'Ada' });
  });

  test('leaves nothing behind when it is released, and never follows a symlink while removing', async () => {
    const precious = join(base, 'precious');
    await mkdir(precious);
    await writeFile(join(precious, 'file'), 'keep me');
    await symlink(precious, join(origin, 'trap'));
    const sha = await commit({});
    const dataDir = await freshDataDir();
    const checkout = await checkoutsOf(dataDir).ready({ sha });
    expect((await lstat(join(checkout.path, 'trap'))).isSymbolicLink()).toBe(true);
    await checkout.release();
    expect(await readdir(join(dataDir, 'checkouts'))).toEqual([]);
    expect(await readFile(join(precious, 'file'), 'utf8')).toBe('keep me');
    await git('rm', '--quiet', 'trap');
  });

  test('of a commit that was fetched before asks the server for nothing', async () => {
    const sha = await commit({ a: '1' });
    const checkouts = checkoutsOf(await freshDataDir());
    await checkouts.ready({ sha });
    await checkouts.ready({ sha });
    expect(checkouts.opened).toEqual({ count: 1, closed: 1 });
  });

  test('of two commits at once are two directories', async () => {
    const first = await commit({ a: 'first' });
    const second = await commit({ a: 'second' });
    const checkouts = checkoutsOf(await freshDataDir());
    const both = await Promise.all([checkouts.ready({ sha: first }), checkouts.ready({ sha: second })]);
    expect(await Promise.all(both.map(({ path }) => readFile(join(path, 'a'), 'utf8')))).toEqual([
      'first',
      'second',
    ]);
  });

  test('runs neither hooks nor filters that the repository asks for', async () => {
    const sha = await commit({
      '.gitattributes': '*.bin filter=lfs\n',
      'big.bin': 'version https://git-lfs.github.com/spec/v1\n',
    });
    const { path } = await checkoutsOf(await freshDataDir()).ready({ sha });
    expect(await readFile(join(path, 'big.bin'), 'utf8')).toContain('git-lfs');
  });

  test('of a commit that the server does not have fails and names it', async () => {
    const sha = '0123456789'.repeat(4);
    await commit({ a: '2' });
    const result = await checkoutsOf(await freshDataDir()).checkout({
      project,
      sha,
      gitRef: 'refs/heads/main',
    });
    expect(result).toMatchObject({ kind: 'failed', reason: expect.stringContaining(sha) });
  });

  test('of a commit that git refuses to write fails for good, naming the path', async () => {
    const blob = await git('hash-object', '-w', 'ci.nix');
    const tree = async (line: string) => {
      const made = await runProcess('git', ['mktree'], { cwd: origin, env: gitEnvironment, input: line });
      return made.stdout.trim();
    };
    const inner = await tree(`100644 blob ${blob}\tconfig\n`);
    const outer = await tree(`040000 tree ${inner}\t.git\n`);
    const sha = await git('commit-tree', '-m', 'Sneak in', outer);
    await git('update-ref', 'refs/heads/sneaky', sha);
    const dataDir = await freshDataDir();
    const result = await checkoutsOf(dataDir).checkout({ project, sha, gitRef: 'refs/heads/sneaky' });
    expect(result).toMatchObject({ kind: 'failed', reason: expect.stringContaining('.git/config') });
    expect(await readdir(join(dataDir, 'checkouts'))).toEqual([]);
  });

  test('of a repository that is not there fails; of a server that is away can be tried later', async () => {
    const sha = await commit({ a: '3' });
    const request = { project, sha, gitRef: 'refs/heads/main' };
    const gone = await listen((_, response) => response.writeHead(404).end());
    const broken = await listen((_, response) => response.writeHead(502).end());
    const at = async (url: string) =>
      checkoutsOf(await freshDataDir(), { url: `${url}/acme/rockets.git`, credentials: undefined }).checkout(
        request,
      );
    expect(await at(gone)).toMatchObject({ kind: 'failed', reason: expect.stringContaining('acme/rockets') });
    expect(await at(broken)).toMatchObject({ kind: 'later', reason: expect.stringContaining('502') });
    expect(await at('http://127.0.0.1:9')).toMatchObject({ kind: 'later' });
  });

  test('passes on why access could not be opened', async () => {
    const checkouts = createCheckouts({
      dataDir: await freshDataDir(),
      environment,
      log: silentLogger(),
      openAccess: async () => ({ kind: 'later', reason: 'GitHub is away' }),
    });
    const result = await checkouts.checkout({ project, sha: 'a'.repeat(40), gitRef: 'refs/heads/main' });
    expect(result).toEqual({ kind: 'later', reason: 'GitHub is away' });
  });
});

describe('credentials', () => {
  test('are shown to their own server only, also when it redirects elsewhere', async () => {
    const seen: { server: string; authorization: string | undefined }[] = [];
    const note = (server: string, authorization: string | undefined) => seen.push({ server, authorization });
    const stranger = await listen((request, response) => {
      note('stranger', request.headers.authorization);
      response.writeHead(401, { 'www-authenticate': 'Basic realm="give"' }).end();
    });
    const own = await listen((request, response) => {
      note('own', request.headers.authorization);
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      } else response.writeHead(302, { location: `${stranger}${request.url}` }).end();
    });
    const checkouts = checkoutsOf(await freshDataDir(), {
      url: `${own}/acme/rockets.git`,
      credentials: { username: 'x-access-token', password: 'sesame' },
    });
    const result = await checkouts.checkout({ project, sha: 'a'.repeat(40), gitRef: 'refs/heads/main' });
    expect(result).toMatchObject({ kind: 'failed' });
    const sesame = `Basic ${Buffer.from('x-access-token:sesame').toString('base64')}`;
    expect(seen).toContainEqual({ server: 'own', authorization: sesame });
    const strangers = seen.filter(({ server }) => server === 'stranger');
    expect(strangers.length).toBeGreaterThan(0);
    expect(strangers.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  test('are written neither to the mirror nor to the checkout', async () => {
    const sha = await commit({ a: '4' });
    const dataDir = await freshDataDir();
    await checkoutsOf(dataDir, {
      url: `file://${origin}`,
      credentials: { username: 'x-access-token', password: 'open-sesame-4711' },
    }).ready({ sha });
    const found = await runProcess('grep', ['-r', 'open-sesame-4711', dataDir], { env: environment });
    expect(found).toMatchObject({ exitCode: 1, stdout: '' });
  });
});

describe('after a kill -9', () => {
  test('lock files in the mirror are removed', async () => {
    const dataDir = await freshDataDir();
    await checkoutsOf(dataDir).ready({ sha: await commit({ a: '5' }) });
    for (const lock of ['shallow.lock', 'config.lock', 'packed-refs.lock']) {
      await writeFile(join(dataDir, 'mirrors/7.git', lock), '');
    }
    const sha = await commit({ a: '6' });
    expect(await checkoutsOf(dataDir).ready({ sha })).toMatchObject({ author: 'Ada' });
  });

  test.each([
    ['an empty HEAD', 'HEAD'],
    ['an empty configuration', 'config'],
    ['a damaged list of shallow commits', 'shallow'],
  ])('a mirror with %s works again', async (_, file) => {
    const dataDir = await freshDataDir();
    await checkoutsOf(dataDir).ready({ sha: await commit({ a: `7 ${file}` }) });
    await truncate(join(dataDir, 'mirrors/7.git', file), 0);
    const sha = await commit({ a: `8 ${file}` });
    const { path } = await checkoutsOf(dataDir).ready({ sha });
    expect(await readFile(join(path, 'a'), 'utf8')).toBe(`8 ${file}`);
  });

  test('a mirror whose objects are damaged is made anew', async () => {
    const dataDir = await freshDataDir();
    const sha = await commit({ a: '9' });
    await checkoutsOf(dataDir).ready({ sha });
    const objects = join(dataDir, 'mirrors/7.git/objects');
    for (const name of await readdir(objects, { recursive: true })) {
      const file = join(objects, name);
      if (!(await lstat(file)).isFile()) continue;
      await chmod(file, 0o644);
      await truncate(file, 0);
    }
    const { path } = await checkoutsOf(dataDir).ready({ sha });
    expect(await readFile(join(path, 'a'), 'utf8')).toBe('9');
  });

  test('the lock of a dead process does not stop the next one', async () => {
    const dataDir = await freshDataDir();
    const sha = await commit({ a: '10' });
    await checkoutsOf(dataDir).ready({ sha });
    await writeFile(join(dataDir, 'mirrors/7.lock'), '{"half written');
    const again = checkoutsOf(dataDir);
    expect(await again.ready({ sha })).toMatchObject({ author: 'Ada' });
    expect(existsSync(join(dataDir, 'mirrors/7.lock'))).toBe(false);
  });

  test('a git that was left running on the mirror is ended first', async () => {
    const dataDir = await freshDataDir();
    const sha = await commit({ a: '11' });
    await checkoutsOf(dataDir).ready({ sha });
    const mirror = join(dataDir, 'mirrors/7.git');
    const orphan = startProcess('git', [`--git-dir=${mirror}`, 'cat-file', '--batch'], {
      env: gitEnvironment,
    });
    const ended = new Promise((resolve) => orphan.once('close', (_, signal) => resolve(signal)));
    await checkoutsOf(dataDir).ready({ sha });
    expect(await ended).toBe('SIGKILL');
  });

  test('checkouts of dead processes are removed at the start, and our own stay', async () => {
    const dataDir = await freshDataDir();
    const checkouts = checkoutsOf(dataDir);
    const own = await checkouts.ready({ sha: await commit({ a: '12' }) });
    const leftOver = join(dataDir, 'checkouts/4194303.12.0b0e/source');
    await mkdir(leftOver, { recursive: true });
    await checkouts.clean();
    expect(existsSync(leftOver)).toBe(false);
    expect(existsSync(own.path)).toBe(true);
  });
});
