import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readDerivation } from './derivation.ts';
import { createOutputPaths } from './output-paths.ts';
import { nixesUnderTest, openTestNix, type TestNix } from './test-nix.ts';
import type { Derivation } from './types.ts';

/** Derivations of all kinds that depend on each other. */
const derivations = `let
  make = name: more: derivation ({ inherit name; system = "x86_64-linux"; builder = "/bin/sh"; } // more);
  three = make "three" { outputs = [ "out" "dev" "man" ]; text = "ü 漢 \\" \\n"; };
  flat = make "flat" { outputHash = builtins.hashString "sha256" "x"; outputHashAlgo = "sha256"; outputHashMode = "flat"; inherit three; };
  tree = make "tree" { outputHash = builtins.hashString "sha256" "y"; outputHashAlgo = "sha256"; outputHashMode = "recursive"; };
  old = make "old" { outputHash = builtins.hashString "md5" "y"; outputHashAlgo = "md5"; outputHashMode = "recursive"; };
  # The same download in another way is the same for what needs it.
  mirror = make "tree" { outputHash = builtins.hashString "sha256" "y"; outputHashAlgo = "sha256"; outputHashMode = "recursive"; url = "other"; };
  structured = make "structured" { __structuredAttrs = true; nested.a = [ 1 "b" ]; inherit tree; };
  noOut = make "no-out" { outputs = [ "lib" "bin" ]; source = builtins.toFile "source" "text"; };
  top = make "top" { all = [ three.man three.dev flat tree old mirror structured noOut.bin ]; };
in [ three flat tree old mirror structured noOut top ]`;

describe.each(nixesUnderTest)('output paths of derivations made by $name', (under) => {
  let it: TestNix;
  let paths: string[];
  beforeAll(async () => {
    it = await openTestNix(under);
    paths = (await it.instantiate(derivations)).map((path) => path.replace(/!.*/, ''));
  });
  afterAll(() => it.close());

  /** Whether the last one, and so all, is right, with one of them changed. */
  async function areRight(change: (name: string, derivation: Derivation) => Derivation): Promise<boolean> {
    const read = async (path: string) => change(path.slice(-20), await readDerivation(it.nix.layout, path));
    return createOutputPaths({ storeDir: it.nix.storeDir, read }).areRight(paths.at(-1) ?? '');
  }

  test('are right', async () => {
    expect(await areRight((_, derivation) => derivation)).toBe(true);
  });

  test.each(['three.drv', 'flat.drv', 'tree.drv', 'structured.drv', 'no-out.drv'])(
    'are not right when %s says that it makes something else, with all that depends on it',
    async (which) => {
      const lie = `${it.nix.storeDir}/${'0'.repeat(32)}-victim`;
      const lying = (derivation: Derivation): Derivation => {
        const [first] = derivation.outputs.keys();
        const outputs = new Map(derivation.outputs);
        outputs.set(first ?? '', {
          hashAlgorithm: undefined,
          hash: undefined,
          ...outputs.get(first ?? ''),
          path: lie,
        });
        return {
          ...derivation,
          outputs,
          environment: new Map([...derivation.environment, [first ?? '', lie]]),
        };
      };
      expect(await areRight((name, it) => (name.endsWith(`-${which}`) ? lying(it) : it))).toBe(false);
    },
  );

  test.each<[string, Partial<Derivation>]>([
    ['another builder', { builder: '/bin/other' }],
    ['other arguments', { arguments: ['-c', 'echo evil'] }],
    ['other sources', { inputSources: ['/nix/store/00000000000000000000000000000000-evil'] }],
    ['no inputs', { inputDerivations: new Map() }],
  ])('are not right for %s', async (_, change) => {
    const changed = (name: string, derivation: Derivation) =>
      name.endsWith('-top.drv') ? { ...derivation, ...change } : derivation;
    expect(await areRight(changed)).toBe(false);
  });
});
