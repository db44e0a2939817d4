/** The binary cache of a running server, as other machines' Nix uses it. */
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProcess } from '../src/basics/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../src/nix/test-nix.ts';
import { createTestDatabase, type TestDatabase } from '../src/postgres/test-database.ts';
import { type GitHubDouble, startGitHubDouble } from './github-double/index.ts';
import { type Product, startProduct } from './support/product.ts';
import { programCommand } from './support/program-command.ts';

const [under] = nixesUnderTest;
if (under === undefined) throw new Error('there is no Nix');

let double: GitHubDouble;
let database: TestDatabase;
let product: Product;
/** The machine of the server, that of somebody who uploads, and that of somebody who fetches. */
let here: TestNix;
let uploader: TestNix;
let fetcher: TestNix;

beforeAll(async () => {
  [double, database, here, uploader, fetcher] = await Promise.all([
    startGitHubDouble(),
    createTestDatabase(),
    openTestNix(under),
    openTestNix(under),
    openTestNix(under),
  ]);
  const hashOf = (token: string) => createHash('sha256').update(token).digest();
  await database.knex('api_tokens').insert([
    { name: 'ops', scope: 'admin', token_hash: hashOf('admins-token') },
    { name: 'laptop', scope: 'read', token_hash: hashOf('readers-token') },
  ]);
  product = await startProduct({
    double,
    env: {
      DATABASE_URL: database.url,
      NIX_REMOTE: `${here.folder}/store`,
      NIX_CONFIG: here.nix.environment.NIX_CONFIG ?? '',
      RINGMASTER_CACHE_KEY_NAME: 'cache.example.org-1',
    },
  });
});
afterAll(async () => {
  await product?.stop();
  await Promise.all([here, uploader, fetcher].map((nix) => nix?.close()));
  await database?.drop();
  await double?.close();
});

const nix = (machine: TestNix, ...args: string[]) =>
  runProcess(machine.nix.programs.nix, ['--extra-experimental-features', 'nix-command', ...args], {
    env: machine.nix.environment,
  });
const cacheFor = (token: string) => product.url.replace('://', `://any:${token}@`).concat('/cache');

async function ringmaster(...args: string[]): Promise<string> {
  const [file = '', ...first] = programCommand;
  const result = await runProcess(file, [...first, ...args], {
    env: { PATH: process.env.PATH ?? '', RINGMASTER_DATA_DIR: product.dataDir },
  });
  expect(result).toMatchObject({ exitCode: 0, stderr: '' });
  return result.stdout.trim();
}

test('what one machine uploads, another fetches, and believes because the server signed it', async () => {
  const drvPath = await uploader.derivation('head -c 5000000 /dev/urandom > $out');
  const path = (await uploader.run('nix-store', ['--realise', drvPath])).trim();
  expect((await nix(uploader, 'copy', '--to', cacheFor('readers-token'), path)).exitCode).not.toBe(0);
  expect(await nix(uploader, 'copy', '--to', cacheFor('admins-token'), path)).toMatchObject({ exitCode: 0 });

  const key = await ringmaster('cache', 'key');
  expect(key).toMatch(/^cache\.example\.org-1:[A-Za-z0-9+/]{43}=$/);
  const fetching = [
    '--option',
    'trusted-public-keys',
    key,
    'copy',
    '--from',
    cacheFor('readers-token'),
    path,
  ];
  expect(await nix(fetcher, ...fetching)).toMatchObject({ exitCode: 0 });
  expect(await fetcher.store.queryValidPaths([path])).toContain(path);
  expect(await ringmaster('cache', 'info')).toContain(`extra-trusted-public-keys = ${key}`);
});

test('strangers see nothing, and the rest of the server goes on answering', async () => {
  expect((await product.get('/cache/nix-cache-info')).status).toBe(401);
  expect((await product.get('/cache/')).status).toBe(401);
  const posted = await fetch(`${product.url}/cache/nix-cache-info`, { method: 'POST', body: 'x' });
  expect(posted.status).toBeGreaterThanOrEqual(400);
  expect((await product.get('/healthz')).status).toBe(200);
});

test('an upload that breaks off leaves nothing', async () => {
  const put = request(`${product.url}/cache/nar/broken.nar`, {
    method: 'PUT',
    headers: { authorization: 'Bearer admins-token', 'content-length': 1_000_000 },
  });
  put.on('error', () => {});
  await new Promise<void>((resolve) => put.write(Buffer.alloc(300_000), () => resolve()));
  await turn();
  put.destroy();
  const head = await fetch(`${product.url}/cache/nar/broken.nar`, {
    method: 'HEAD',
    headers: { authorization: 'Bearer admins-token' },
  });
  expect(head.status).toBe(404);
});
