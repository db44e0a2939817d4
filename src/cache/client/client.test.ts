import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyClosure } from '../../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../nix/test-nix.ts';
import { openTestCache, type TestCache } from '../test-cache.ts';
import { type CacheClient, openCacheClient } from './client.ts';

const [under] = nixesUnderTest;
if (under === undefined) throw new Error('there is no Nix');

const environment = { PATH: process.env.PATH ?? '' };
let cache: TestCache<TestNix>;
let here: TestNix;
let client: CacheClient;

beforeAll(async () => {
  const [server, other] = await Promise.all([openTestNix(under), openTestNix(under)]);
  here = other;
  cache = await openTestCache(server, { agent: { kind: 'agent', builderId: 3 } });
  client = openCacheClient({ url: cache.url(), token: 'agent', environment });
});
afterAll(async () => {
  await cache.close();
  await here.close();
});

/** `count` small files, and one path that needs them all and is large. */
async function build(nix: TestNix, name: string, count: number): Promise<string> {
  const [drvPath = ''] = await nix.instantiate(`let
    small = builtins.genList (n: builtins.toFile "${name}-\${toString n}" (toString n)) ${count};
  in derivation {
    name = "${name}"; inherit small; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "mkdir $out; echo $small > $out/small; head -c 3000000 /dev/urandom > $out/noise" ];
  }`);
  return (await nix.run('nix-store', ['--realise', drvPath])).trim();
}

test('a closure of 100 paths comes out of a cache, and goes into one', async () => {
  const there = await build(cache.server, 'many', 100);
  const copied = await copyClosure({ from: client, to: here.store, paths: [there], substitute: false });
  expect(copied.paths).toBe(101);
  expect(await here.store.queryValidPaths([there])).toContain(there);
  expect(await client.validPaths([there], false)).toContain(there);

  const ours = await build(here, 'ours', 5);
  expect(await client.validPaths([ours], false)).toEqual(new Set());
  expect((await client.pathInfos([ours])).size).toBe(0);
  const uploaded = await copyClosure({ from: here.store, to: client, paths: [ours], substitute: false });
  expect(uploaded.paths).toBe(6);
  expect(await cache.server.store.queryValidPaths([ours])).toContain(ours);
});

test('who may not, and who asks for what is absent, is told so', async () => {
  const path = await build(cache.server, 'closed', 0);
  const stranger = openCacheClient({ url: cache.url('nobody'), environment });
  await expect(stranger.pathInfos([path])).rejects.toMatchObject({ code: 'cache-refused' });
  const read = async () => {
    for await (const _ of client.nar(`/nix/store/${'0'.repeat(32)}-absent`)) break;
  };
  await expect(read()).rejects.toMatchObject({ code: 'cache-lacks-path' });
  const nowhere = openCacheClient({ url: 'http://127.0.0.1:1/cache', environment, tries: 1 });
  await expect(nowhere.pathInfos([path])).rejects.toMatchObject({ code: 'cache-unreachable' });
});

/** A way to the cache that cuts each connection after so many bytes from there; 0: at once. */
async function unreliable(cuts: number[]): Promise<{ server: Server; url: string }> {
  const target = Number(new URL(cache.url()).port);
  const server = createServer((near: Socket) => {
    let left = cuts.shift() ?? Number.POSITIVE_INFINITY;
    if (left === 0) return near.destroy();
    const far = connect(target, '127.0.0.1');
    const end = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    near.pipe(far);
    far.on('data', (chunk: Buffer) => {
      near.write(chunk.subarray(0, Math.min(left, chunk.length)));
      left -= chunk.length;
      if (left <= 0) near.end(end);
    });
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { server, url: `http://127.0.0.1:${port}/cache` };
}

test('connections that break are made again, and what had arrived is not lost', async () => {
  const path = await build(cache.server, 'broken', 0);
  const cuts = [0, 400_000, 700_000, 0];
  const { server, url } = await unreliable(cuts);
  try {
    const shaky = openCacheClient({ url, token: 'agent', environment });
    await copyClosure({ from: shaky, to: here.store, paths: [path], substitute: false });
    expect(await here.store.queryValidPaths([path])).toContain(path);
    expect(cuts).toEqual([]);

    const ours = await build(here, 'ours-broken', 0);
    cuts.push(0, 0);
    const again = openCacheClient({ url, token: 'agent', environment });
    await copyClosure({ from: here.store, to: again, paths: [ours], substitute: false });
    expect(await cache.server.store.queryValidPaths([ours])).toContain(ours);
  } finally {
    server.close();
  }
});
