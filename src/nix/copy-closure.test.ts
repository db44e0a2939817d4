import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { copyClosure, createClosureCopier, type PathSource } from './copy-closure.ts';
import { openLocalStore } from './local-store.ts';
import { nixesUnderTest, openTestNix, type TestNix } from './test-nix.ts';
import type { NixStore, PathInfo } from './types.ts';

const substitute = false;

describe.each(nixesUnderTest)('copying closures with $name', (under) => {
  let it: TestNix;
  let folder: string;
  const opened: NixStore[] = [];
  let stores = 0;

  beforeAll(async () => {
    it = await openTestNix(under);
    folder = await mkdtemp('/var/tmp/ringmaster-copies-');
  });
  afterAll(async () => {
    await Promise.all(opened.map((store) => store.close()));
    await rm(folder, { recursive: true, force: true });
    await it.close();
  });

  /** A new, empty store. */
  function emptyStore(): { store: NixStore; root: string } {
    const root = join(folder, `store-${stores++}`);
    const environment = { ...it.nix.environment, NIX_REMOTE: root };
    const nix = { ...it.nix, environment };
    const store = openLocalStore({ nix, logger: silentLogger() });
    opened.push(store);
    return { store, root };
  }

  /** A chain of texts, each of which refers to the next; the last is `length` steps from the first. */
  async function chain(name: string, length: number): Promise<string[]> {
    const expression = `let
      make = n: builtins.toFile "${name}-\${toString n}" (
        if n == ${length} then "end" else "before \${make (n + 1)}"
      );
    in builtins.genList make ${length + 1}`;
    const json = await it.run('nix-instantiate', [
      '--eval',
      '--read-write-mode',
      '--strict',
      '--json',
      '--expr',
      expression,
    ]);
    const paths: unknown = JSON.parse(json);
    if (!Array.isArray(paths)) throw new Error(json);
    return paths.map(String);
  }

  test('brings a path and all that it refers to, and nothing twice', async () => {
    const paths = await chain('deep', 30);
    const top = paths[0] ?? '';
    const { store, root } = emptyStore();
    const request = { from: it.store, to: store, paths: [top], substitute };
    const first = await copyClosure(request);
    expect(first.paths).toBe(paths.length);
    expect(await store.validPaths(paths, false)).toEqual(new Set(paths));
    expect(await readFile(join(root, top), 'utf8')).toBe(`before ${paths[1]}`);
    expect(await copyClosure(request)).toEqual({ paths: 0, bytes: 0 });
  });

  test('brings large files whole, there and back', async () => {
    const megabytes = 24;
    const drvPath = await it.derivation(`dd if=/dev/zero of=$out bs=1M count=${megabytes}; echo end >> $out`);
    const { outputs } = await it.store.realise({
      drvPath,
      signal: new AbortController().signal,
      timeoutSeconds: 0,
      maxSilentSeconds: 0,
      onLogLine: () => {},
    });
    const out = outputs.out ?? '';
    const [first, second] = [emptyStore(), emptyStore()];
    await copyClosure({ from: it.store, to: first.store, paths: [out], substitute });
    await copyClosure({ from: first.store, to: second.store, paths: [out], substitute });
    const [before, after] = [await it.store.pathInfos([out]), await second.store.pathInfos([out])];
    expect(after.get(out)?.narHash).toBe(before.get(out)?.narHash);
    const content = await readFile(join(second.root, out));
    expect(content.length).toBe(megabytes * 1024 * 1024 + 4);
  });

  test('never sends a path twice at once, whoever asks for it', async () => {
    const paths = await chain('shared', 10);
    const { store } = emptyStore();
    const sent: string[] = [];
    const from: PathSource = {
      pathInfos: (asked) => it.store.pathInfos(asked),
      nar: (path, info) => {
        sent.push(path);
        return it.store.nar(path, info);
      },
    };
    const copier = createClosureCopier(store);
    // Each wants the end of the chain, and more or less of what comes before.
    await Promise.all(paths.map((path) => copier.copy({ from, paths: [path], substitute })));
    expect([...sent].sort()).toEqual([...new Set(sent)].sort());
    expect(await store.validPaths(paths, false)).toEqual(new Set(paths));
  });

  test('says what neither side has', async () => {
    const nobody = `/nix/store/${'1'.repeat(32)}-nobody`;
    const { store } = emptyStore();
    await expect(
      copyClosure({ from: it.store, to: store, paths: [nobody], substitute }),
    ).rejects.toMatchObject({ code: 'path-not-available' });
  });

  test('can be cancelled', async () => {
    const [path = ''] = await chain('cancelled', 2);
    const { store } = emptyStore();
    const signal = AbortSignal.abort();
    await expect(
      copyClosure({ from: it.store, to: store, paths: [path], substitute, signal }),
    ).rejects.toThrow(/abort/i);
  });

  describe('from somebody who lies', () => {
    /** Says of the path what `lie` makes of the truth, and sends what `content` makes of the NAR. */
    async function lied(lie: Partial<PathInfo>, content: (nar: Buffer) => Buffer[]): Promise<string> {
      const [path = ''] = await chain('lie', 0);
      const chunks: Buffer[] = [];
      for await (const chunk of it.store.nar(path)) chunks.push(chunk);
      const from: PathSource = {
        pathInfos: async (paths) => {
          const infos = [...(await it.store.pathInfos(paths))];
          return new Map(infos.map(([key, info]) => [key, { ...info, ...lie, contentAddress: undefined }]));
        },
        nar: async function* () {
          yield* content(Buffer.concat(chunks));
        },
      };
      const { store } = emptyStore();
      const copied = copyClosure({ from, to: store, paths: [path], substitute });
      const message = await copied.then(
        () => 'was believed',
        (error: Error) => error.message,
      );
      expect(await store.validPaths([path], false)).toEqual(new Set());
      return message;
    }

    test.each<[string, Partial<PathInfo>, (nar: Buffer) => Buffer[], RegExp]>([
      ['sends too much', {}, (nar) => [nar, nar], /is longer than/],
      ['sends too little', {}, (nar) => [nar.subarray(8)], /has \d+ bytes, not/],
      ['sends nothing', {}, () => [], /has 0 bytes/],
      ['sends something else', {}, (nar) => [Buffer.alloc(nar.length)], /has the hash|answered/],
      ['announces something else', { narHash: createHash('sha256').digest('hex') }, (nar) => [nar], /hash/],
    ])('and %s is an error', async (_, lie, content, message) => {
      expect(await lied(lie, content)).toMatch(message);
    });
  });
});
