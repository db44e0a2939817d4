/** What an agent's machine takes from a cache that lies: nothing, and it says what was wrong. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { openCacheClient } from '../cache/index.ts';
import { openTestCache, type TestCache } from '../cache/test-cache.ts';
import { realPath } from '../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { openNixWorkshop } from './nix-workshop.ts';
import { pathsNeeded, type Workshop } from './workshop.ts';

const [under] = nixesUnderTest;
if (under === undefined) throw new Error('there is no Nix');
const never = new AbortController().signal;
/** What becomes of an answer of the cache on its way. */
type Lie = (answer: Response, address: string) => Promise<Response>;

let cache: TestCache<TestNix>;
let agent: TestNix;
let workshop: Workshop;
/** It looks at no signatures. */
let believer: Workshop;
/** It trusts another key. */
let stranger: Workshop;
let lie: Lie;
let path: string;

beforeAll(async () => {
  const [server, other] = await Promise.all([openTestNix(under), openTestNix(under)]);
  agent = other;
  cache = await openTestCache(server, { agent: { kind: 'agent', builderId: 1 } });
  const drvPath = await server.derivation('head -c 300000 /dev/urandom > $out');
  path = await realise(drvPath);
  const open = (...trustedKeys: readonly string[]) =>
    openNixWorkshop({
      nix: agent.nix,
      cache: openCacheClient({
        url: cache.url(),
        token: 'agent',
        trustedKeys,
        environment: { PATH: process.env.PATH ?? '' },
        tries: 2,
        fetch: async (input, init) => lie(await fetch(input, init), String(input)),
      }),
      log: silentLogger(),
    });
  workshop = open(cache.publicKey);
  believer = open();
  stranger = open(`cache.test-1:${Buffer.alloc(32, 1).toString('base64')}`);
});
afterAll(async () => {
  await workshop?.close();
  await believer?.close();
  await stranger?.close();
  await cache?.close();
  await agent?.close();
});

async function realise(drvPath: string): Promise<string> {
  return (await cache.server.run('nix-store', ['--realise', drvPath])).trim();
}

const fetchInputs = (from = workshop) => from.fetchInputs([path], never);
const changed = (pattern: RegExp, text: string): Lie => {
  return async (answer, address) =>
    address.endsWith('.narinfo') ? new Response((await answer.text()).replace(pattern, text)) : answer;
};

test('lies of a cache are refused by name, and what it tells truly afterwards is taken', async () => {
  lie = async (answer) => answer;
  await expect(fetchInputs(stranger)).rejects.toMatchObject({ code: 'cache-signature' });

  lie = changed(/^Sig: .*$/m, 'Sig: cache.test-1:AAAA');
  await expect(fetchInputs(), 'another signature').rejects.toMatchObject({ code: 'cache-signature' });

  lie = changed(/^NarHash: .*$/m, `NarHash: sha256:${'0'.repeat(52)}`);
  await expect(fetchInputs(), 'another hash').rejects.toMatchObject({ code: 'cache-signature' });
  await expect(fetchInputs(believer), 'another hash').rejects.toMatchObject({ code: 'cache-damaged' });

  lie = async (answer, address) => {
    if (address.endsWith('.narinfo')) return answer;
    const bytes = Buffer.from(await answer.arrayBuffer());
    return new Response(bytes.subarray(0, bytes.length / 2));
  };
  await expect(fetchInputs(), 'a part of the NAR').rejects.toMatchObject({ code: 'cache-damaged' });

  lie = async (answer, address) => {
    if (address.endsWith('.narinfo')) return answer;
    const bytes = Buffer.from(await answer.arrayBuffer());
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    return new Response(bytes);
  };
  await expect(fetchInputs(), 'a bit of the NAR').rejects.toMatchObject({ code: 'cache-damaged' });
  expect(await agent.store.queryValidPaths([path])).toEqual(new Set());

  lie = async (answer) => answer;
  await fetchInputs(believer);
  expect(await agent.store.queryValidPaths([path])).toEqual(new Set([path]));
});

test('builds again what its server has the outputs of, and compares', async () => {
  lie = async (answer) => answer;
  const check = async (script: string) => {
    const { server } = cache;
    const drvPath = await server.derivation(script);
    const order = {
      drvPath,
      derivation: await readFile(realPath(server.nix.layout, drvPath)),
      outputs: { out: await realise(drvPath) },
      ...{ inputs: [], check: true, timeoutSeconds: 60, maxSilentSeconds: 0, maxLogBytes: 0 },
    };
    const prepare = () => workshop.fetchInputs(pathsNeeded(order), never);
    const silent = { onLogLine: () => {}, onPhase: () => {} };
    return (await workshop.build(order, { signal: never, prepare, ...silent })).status;
  };
  expect(await check('echo always > $out')).toBe('built');
  expect(await check('cat /proc/sys/kernel/random/uuid > $out')).toBe('non-deterministic');
});
