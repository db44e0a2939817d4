/** Texts of derivations held in memory, named and written as Nix does it. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPendingDerivations, describeText, parseDerivation, textStorePath } from './index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from './test-nix.ts';
import { createTextWriter, textsRefused } from './text-writer.ts';

/** Three hundred derivations of all kinds: chains, sources, texts, fixed outputs, several outputs, any byte. */
const expression = `
  let
    base = n: extra: derivation ({ name = "d\${toString n}"; system = "x86_64-linux"; builder = "/bin/sh"; } // extra);
    source = builtins.toFile "a+b_c.txt" "text";
    chain = builtins.foldl' (all: n: [ (base n { before = all; text = builtins.toFile "t\${toString n}" "\${source} \${toString n}"; }) ] ++ all) [ ];
    kinds = n: [
      (base n { args = [ "-c" "echo \\"\\t\\r\\n\\\\ $out" ]; "ключ" = "ü€\${toString n}"; })
      (base n { outputs = [ "out" "dev" "b-\${toString n}" ]; inherit source; })
      (base n { outputHash = builtins.hashString "sha256" (toString n); outputHashAlgo = "sha256"; outputHashMode = "recursive"; })
      (base n { name = "_.+?=-\${toString n}"; deep = (base n { }).drvPath; })
      (base n { __structuredAttrs = true; list = [ 1 { a = null; } ]; })
    ];
  in chain (builtins.genList (n: n) 60) ++ builtins.concatLists (builtins.genList kinds 50)`;

async function textsOf(nix: TestNix, drvPaths: readonly string[]) {
  const { storeDir, realStoreDir } = nix.nix.layout;
  return await Promise.all(
    [...new Set(drvPaths)].map(async (path) => {
      const content = await readFile(path.replace(storeDir, realStoreDir));
      const { inputDerivations, inputSources } = parseDerivation(content);
      return { path, content, references: [...inputDerivations.keys(), ...inputSources] };
    }),
  );
}

describe.each(nixesUnderTest)('with $name', (under) => {
  let made: TestNix;
  let empty: TestNix;
  let texts: Awaited<ReturnType<typeof textsOf>>;
  beforeAll(async () => {
    [made, empty] = await Promise.all([openTestNix(under), openTestNix(under)]);
    texts = await textsOf(made, await made.instantiate(expression));
  });
  afterAll(() => Promise.all([made.close(), empty.close()]));

  test('paths are computed as Nix computes them', () => {
    expect(texts.length).toBeGreaterThan(290);
    for (const { path, content, references } of texts) {
      const hash = createHash('sha256').update(content).digest('hex');
      const name = path.slice(path.lastIndexOf('/') + 34);
      expect(textStorePath(made.nix.storeDir, name, hash, references.toReversed())).toBe(path);
    }
  });

  test('what is asked for is written with all it refers to, and nothing else', async () => {
    const { access, programs, environment } = empty.nix;
    const writer = createTextWriter({ access, nixDaemon: programs['nix-daemon'], env: environment });
    const operations: number[] = [];
    const pending = createPendingDerivations({
      addTexts: (batch) => {
        operations.push(batch.length);
        return writer.addTexts(batch);
      },
    });
    // Sources have to be there, as they are when an evaluation has added them.
    await empty.instantiate(expression);
    await empty.run('nix-store', ['--delete', ...texts.map(({ path }) => path).reverse()]);
    for (const { path, content, references } of texts) {
      pending.add(path, content, references);
    }
    const [first] = texts;
    if (first === undefined) throw new Error('nothing was made');
    expect(pending.read(first.path)).toEqual(parseDerivation(first.content));
    await Promise.all([pending.write([first.path]), pending.write([first.path, '/nix/store/unknown'])]);
    // The last of a chain of sixty.
    expect(operations).toEqual([60]);
    const valid = await empty.store.queryValidPaths(texts.map(({ path }) => path));
    expect(valid.size).toBe(60);
    await pending.write([...pending.paths()]);
    await pending.write([...pending.paths()]);
    expect(operations).toHaveLength(2);
    expect((await empty.store.queryValidPaths(texts.map(({ path }) => path))).size).toBe(texts.length);
    for (const { path, content } of texts.slice(0, 20)) {
      const { storeDir, realStoreDir } = empty.nix.layout;
      expect(await readFile(path.replace(storeDir, realStoreDir))).toEqual(content);
    }
    await empty.run('nix-store', ['--verify-path', ...texts.map(({ path }) => path)]);
    await writer.close();
  });

  test('of many texts only what the store refuses is not written, and what refers to that', async () => {
    const { access, programs, environment, storeDir } = empty.nix;
    const writer = createTextWriter({ access, nixDaemon: programs['nix-daemon'], env: environment });
    const text = (name: string, references: readonly string[]) => {
      const content = Buffer.from(name);
      return { path: describeText(storeDir, name, content, references).path, content, references };
    };
    const [first, last] = [text('first', []), text('last', [])];
    const refused = text('refused', [`${storeDir}/${'0'.repeat(32)}-nowhere`]);
    const all = [first, refused, text('refers-to-it', [refused.path]), last];
    const written = async () => [...(await empty.store.queryValidPaths(all.map(({ path }) => path)))].sort();
    for (const round of ['new', 'valid already']) {
      await expect(writer.addTexts(all), round).rejects.toMatchObject({ code: textsRefused });
      expect(await written(), round).toEqual([first.path, last.path].sort());
    }
    await writer.addTexts([last, first]);
    await writer.close();
  });
});
