import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProcess } from '../basics/index.ts';
import { copyClosure, nixBase32 } from '../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { formatNarInfo, parseNarInfo } from './nar-info.ts';
import { writeNar } from './nar-writer.ts';
import { openTestCache, type TestCache } from './test-cache.ts';

const tokens = {
  reader: { kind: 'token', id: 1, scope: 'read' },
  writer: { kind: 'token', id: 2, scope: 'admin' },
  agent: { kind: 'agent', builderId: 7 },
} as const;

/** Two paths, one of which needs the other, and the larger one is worth compressing. */
const script = (name: string) => `mkdir -p $out/bin; echo $needed > $out/needed; ln -s needed $out/link
  head -c 200000 /dev/zero > $out/zeros; echo ${name} > $out/bin/run; chmod +x $out/bin/run`;
const needed = `needed = derivation { name = "needed"; system = builtins.currentSystem;
  builder = "/bin/sh"; args = [ "-c" "echo hi > $out" ]; };`;

/** A derivation whose output is that name alone. */
async function named(nix: TestNix, name: string): Promise<string> {
  const [drvPath = ''] = await nix.instantiate(`derivation {
    name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${name} > $out" ];
  }`);
  return drvPath;
}

async function build(nix: TestNix, name: string): Promise<string> {
  const drvPath = await nix.derivation(script(name), needed);
  return (await nix.run('nix-store', ['--realise', drvPath])).trim();
}

describe.each(nixesUnderTest)('with $name', (under) => {
  let cache: TestCache<TestNix>;
  let client: TestNix;

  beforeAll(async () => {
    const [server, other] = await Promise.all([openTestNix(under), openTestNix(under)]);
    client = other;
    cache = await openTestCache(server, tokens, {
      mayUpload: async (identity, path) => identity.kind === 'token' || !path.endsWith('-forbidden'),
    });
  });
  afterAll(async () => {
    await cache.close();
    await client.close();
  });

  /** The client's `nix`, which believes signatures of this cache alone. */
  const nix = (...args: string[]) =>
    runProcess(
      client.nix.programs.nix,
      [
        '--extra-experimental-features',
        'nix-command',
        '--option',
        'trusted-public-keys',
        cache.publicKey,
        ...args,
      ],
      { env: client.nix.environment },
    );
  const fetchCache = (path: string, token?: string, init: RequestInit = {}) =>
    fetch(`${cache.url()}/${path}`, {
      ...init,
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    });
  const narInfoOf = (path: string) => `${path.slice(11, 43)}.narinfo`;

  test('nix copy --from takes a closure out of it, signatures checked', async () => {
    const path = await build(cache.server, 'from');
    cache.requests();
    const copied = await nix('copy', '--from', cache.url('reader'), path);
    expect(copied).toMatchObject({ exitCode: 0 });
    expect(await client.store.queryValidPaths([path])).toContain(path);
    const verified = await nix('store', 'verify', '--recursive', path);
    expect(verified).toMatchObject({ exitCode: 0 });
    const requests = cache.requests();
    expect(requests).toContain('GET /cache/nix-cache-info 200');
    expect(requests.filter((line) => / \/cache\/nar\/\S+\.zst 200$/.test(line))).toHaveLength(1);
    expect(requests.filter((line) => / \/cache\/nar\/\S+\.nar 200$/.test(line))).toHaveLength(1);
  });

  test('without a token there is nothing, and a wrong one is told', async () => {
    const path = await build(cache.server, 'secret');
    expect((await nix('copy', '--from', cache.url(), path)).exitCode).not.toBe(0);
    expect((await nix('copy', '--from', cache.url('wrong'), path)).exitCode).not.toBe(0);
    const answer = await fetchCache(narInfoOf(path));
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Basic/);
  });

  test('what is absent is a 404, and there as soon as it is built', async () => {
    const drvPath = await named(cache.server, 'later');
    const [path = ''] = (await cache.server.run('nix-store', ['--query', '--outputs', drvPath]))
      .trim()
      .split('\n');
    expect((await fetchCache(narInfoOf(path), 'reader')).status).toBe(404);
    await cache.server.run('nix-store', ['--realise', drvPath]);
    expect((await fetchCache(narInfoOf(path), 'reader')).status).toBe(200);
    expect((await fetchCache(narInfoOf(path), 'reader', { method: 'HEAD' })).status).toBe(200);
    const odd = [
      '',
      'nar/',
      'nar/x.nar',
      '..',
      'nar/../nix-cache-info',
      `${'e'.repeat(32)}.narinfo`,
      'nix-cache-info/',
    ];
    for (const address of odd) {
      const answer = await fetch(`${cache.url()}/${encodeURIComponent(address)}`, {
        headers: { authorization: 'Bearer reader' },
      });
      expect(answer.status).toBe(404);
    }
    expect((await fetchCache('nix-cache-info', 'reader', { method: 'DELETE' })).status).toBe(405);
  });

  test('a path that nobody vouches for is not handed on', async () => {
    const path = await build(client, 'stranger');
    await copyClosure({ from: client.store, to: cache.server.store, paths: [path], substitute: false });
    expect(await cache.server.store.queryValidPaths([path])).toContain(path);
    expect((await fetchCache(narInfoOf(path), 'reader')).status).toBe(404);
  });

  test.each(['xz', 'zstd', 'none'])(
    'nix copy --to puts a closure into it, compressed with %s',
    async (compression) => {
      const path = await build(client, `to-${compression}`);
      const to = `${cache.url('writer')}?compression=${compression}`;
      expect(await nix('copy', '--to', to, path)).toMatchObject({ exitCode: 0 });
      expect(await cache.server.store.queryValidPaths([path])).toContain(path);
      const narInfo = parseNarInfo(await (await fetchCache(narInfoOf(path), 'reader')).text(), '/nix/store');
      expect([...narInfo.info.signatures].join()).toContain('cache.test-1:');
      expect((await nix('copy', '--to', to, path)).exitCode).toBe(0);
      expect(await readdir(join(cache.server.folder, 'data', 'cache', 'spool'))).toEqual([]);
    },
  );

  test('a token for reading uploads nothing', async () => {
    const path = await build(client, 'read-only');
    expect((await nix('copy', '--to', cache.url('reader'), path)).exitCode).not.toBe(0);
    expect(await cache.server.store.queryValidPaths([path])).toEqual(new Set());
  });

  /** Uploads by hand a path that only the client has, with whatever the narinfo is changed to say. */
  async function upload(
    name: string,
    change: (text: string) => string = (text) => text,
    damage: (nar: Buffer) => Buffer = (nar) => nar,
  ) {
    const drvPath = await named(client, name);
    const path = (await client.run('nix-store', ['--realise', drvPath])).trim();
    const info = (await client.store.pathInfos([path])).get(path);
    if (info === undefined) throw new Error('not built');
    const chunks: Buffer[] = [];
    for await (const chunk of writeNar(join(client.folder, 'store', path))) chunks.push(chunk);
    const nar = damage(Buffer.concat(chunks));
    const fileHash = createHash('sha256').update(nar).digest('hex');
    const url = `nar/${nixBase32(Buffer.from(fileHash, 'hex'))}.nar`;
    await fetchCache(url, 'agent', { method: 'PUT', body: new Uint8Array(nar) });
    const text = change(
      formatNarInfo({ path, url, compression: 'none', fileHash, fileBytes: nar.length, info }),
    );
    const answer = await fetchCache(narInfoOf(path), 'agent', { method: 'PUT', body: text });
    const valid = await cache.server.store.queryValidPaths([path]);
    return { status: answer.status, said: await answer.text(), there: valid.has(path) };
  }

  test('an agent uploads what it may, and nothing else', async () => {
    expect(await upload('agents-own')).toMatchObject({ status: 201, there: true });
    expect(await upload('forbidden')).toMatchObject({ status: 403, there: false });
    expect(cache.lies).toEqual([]);
  });

  test('an upload that is not what it says is refused, and an agent that lies is reported', async () => {
    const flip = (nar: Buffer) => {
      nar[nar.indexOf('damaged')] = 0x44;
      return nar;
    };
    const wrong = [
      await upload('damaged-content', undefined, flip),
      await upload('damaged-size', (text) => text.replace(/^NarSize: .*/m, 'NarSize: 8')),
      await upload('damaged-hash', (text) =>
        text.replace(/^FileHash: .*/m, `FileHash: sha256:${'0'.repeat(52)}`),
      ),
      await upload('no-nar-at-all', undefined, (nar) => nar.subarray(8)),
      await upload('compressed', (text) => text.replace('Compression: none', 'Compression: zstd')),
      await upload('addressed', (text) => `${text}CA: fixed:r:sha256:${'0'.repeat(52)}\n`),
    ];
    for (const answer of wrong) expect(answer).toMatchObject({ status: 400, there: false });
    expect(cache.lies.map(({ builderId }) => builderId)).toEqual(wrong.map(() => 7));
    expect(cache.lies[0]?.what).toMatch(/damaged-content: the NAR has the SHA-256/);
    cache.lies.splice(0);
  });

  test('an upload that cannot be taken leaves nothing and blames nobody', async () => {
    const absent = `${'1'.repeat(32)}-absent`;
    const wrong = [
      await upload('refers', (text) => text.replace(/^References: .*/m, `References: ${absent}`)),
      await upload('nonsense', () => 'hello'),
      await upload('elsewhere', (text) => text.replace(/^URL: .*/m, 'URL: ../../etc/passwd')),
    ];
    expect(wrong.map(({ status, there }) => [status, there])).toEqual([
      [400, false],
      [400, false],
      [409, false],
    ]);
    expect(wrong[0]?.said).toContain(absent);
    expect(cache.lies).toEqual([]);
    const huge = await fetchCache('nar/huge.nar', 'agent', {
      method: 'PUT',
      body: new Uint8Array(65 * 1024 * 1024),
    }).catch((error: Error) => error);
    // The server may close before all of it was sent.
    if (huge instanceof Response) expect(huge.status).toBe(413);
  });
});
