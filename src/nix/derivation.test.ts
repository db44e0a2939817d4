import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  DerivationSyntaxError,
  derivationGraph,
  derivationName,
  formatDerivation,
  isFixedOutput,
  parseDerivation,
  readDerivation,
  realPath,
  requiredSystemFeatures,
} from './derivation.ts';
import { nixesUnderTest, openTestNix, type TestNix } from './test-nix.ts';
import type { Derivation } from './types.ts';

const shown = z.record(
  z.string(),
  z.object({
    outputs: z.record(z.string(), z.object({ path: z.string().optional() })),
    inputSrcs: z.array(z.string()),
    inputDrvs: z.record(z.string(), z.unknown()),
    system: z.string(),
    builder: z.string(),
    args: z.array(z.string()),
    env: z.record(z.string(), z.string()),
  }),
);

/** Output names of an input: a list in old versions of `nix show-derivation`, a field in newer ones. */
const inputOutputs = z.union([
  z.array(z.string()),
  z.object({ outputs: z.array(z.string()) }).transform(({ outputs }) => outputs),
]);

/** How many derivations are made. */
const many = 300;

/** Derivations of all kinds, the last of which depends on all others. */
const manyDerivations = `let
  make = n: inputs: derivation ({
    name = "many-\${toString n}";
    system = if n == 3 then "aarch64-darwin" else builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo \\"quoted\\" \\\\\\\\back \\t tab \\r \\n newline \${toString n} ü 漢 🎪 > $out" "" ];
    inherit inputs;
    flags = [ true false 1 1.5 null "a b" ];
    source = builtins.toFile "source-\${toString n}" "text \${toString n}";
  } // (if n == 5 then { outputs = [ "out" "dev" "man" ]; } else {})
    // (if n == 6 then { outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputHash = "\${builtins.hashString "sha256" "x"}"; } else {})
    // (if n == 7 then { __structuredAttrs = true; requiredSystemFeatures = [ "kvm" "big-parallel" ]; nested.a = [ 1 "\\n" ]; } else {})
    // (if n == 8 then { requiredSystemFeatures = [ "kvm" ]; } else {}));
  some = builtins.genList (n: make n (if n == 0 then [] else [ (builtins.elemAt some (n - 1)) ])) ${many - 1};
  five = builtins.elemAt some 5;
in some ++ [ (make ${many - 1} (some ++ [ five.dev five.man ])) ]`;

describe.each(nixesUnderTest)('derivations made by $name', (under) => {
  let it: TestNix;
  let paths: string[];
  beforeAll(async () => {
    it = await openTestNix(under);
    paths = await it.instantiate(manyDerivations);
  });
  afterAll(() => it.close());

  test('are read as Nix itself shows them', async () => {
    const command = it.nix.version.startsWith('2.8.') ? ['show-derivation'] : ['derivation', 'show'];
    const all = shown.parse(JSON.parse(await it.run('nix', [...command, '--recursive', ...paths])));
    expect(Object.keys(all)).toHaveLength(many);
    for (const [drvPath, expected] of Object.entries(all)) {
      const actual = await readDerivation(it.nix.layout, drvPath);
      expect(Object.fromEntries([...actual.outputs].map(([name, { path }]) => [name, path]))).toEqual(
        Object.fromEntries(Object.entries(expected.outputs).map(([name, { path }]) => [name, path])),
      );
      expect([...actual.inputDerivations.keys()].sort()).toEqual(Object.keys(expected.inputDrvs).sort());
      for (const [input, names] of actual.inputDerivations) {
        expect(names).toEqual(inputOutputs.parse(expected.inputDrvs[input]));
      }
      expect(actual.inputSources).toEqual(expected.inputSrcs);
      expect(actual.system).toBe(expected.system);
      expect(actual.builder).toBe(expected.builder);
      expect(actual.arguments).toEqual(expected.args);
      expect(Object.fromEntries(actual.environment)).toEqual(expected.env);
    }
  });

  test('are written again byte for byte', async () => {
    for (const drvPath of paths) {
      const content = await readFile(realPath(it.nix.layout, drvPath));
      expect(formatDerivation(parseDerivation(content)).equals(content)).toBe(true);
    }
  });

  test('tell the features they need, with and without structured attributes', async () => {
    const features = async (n: number) =>
      requiredSystemFeatures(await readDerivation(it.nix.layout, paths[n] ?? ''));
    expect(await features(6)).toEqual([]);
    expect(await features(7)).toEqual(['kvm', 'big-parallel']);
    expect(await features(8)).toEqual(['kvm']);
  });

  test('tell whether their output is fixed', async () => {
    const fixed = await Promise.all(
      paths.slice(5, 8).map(async (drvPath) => isFixedOutput(await readDerivation(it.nix.layout, drvPath))),
    );
    expect(fixed).toEqual([false, true, false]);
  });

  test('make a graph of what must be built', async () => {
    const last = paths[many - 1] ?? '';
    const { willBuild } = await it.store.queryMissing([last]);
    const graph = await derivationGraph(it.nix.layout, willBuild, [last]);
    expect(new Set(graph.derivations.keys())).toEqual(new Set(paths));
    expect(graph.dependencies.get(paths[0] ?? '')).toEqual([]);
    expect(graph.dependencies.get(paths[9] ?? '')).toEqual([paths[8]]);
    expect(graph.dependencies.get(last)).toHaveLength(many - 1);
  });

  test('leave out of the graph what need not be built', async () => {
    const willBuild = new Set(paths.slice(10, 13));
    const graph = await derivationGraph(it.nix.layout, willBuild, paths.slice(0, 13));
    expect(new Set(graph.derivations.keys())).toEqual(willBuild);
    expect(graph.dependencies.get(paths[10] ?? '')).toEqual([]);
  });

  test('that are gone are told by name', async () => {
    const gone = `/nix/store/${'0'.repeat(32)}-gone.drv`;
    await expect(derivationGraph(it.nix.layout, new Set([gone]), [gone])).rejects.toMatchObject({
      code: 'derivation-unreadable',
      message: expect.stringContaining(gone),
    });
  });
});

test('The name of a derivation is what follows the hash', () => {
  expect(derivationName(`/nix/store/${'a'.repeat(32)}-hello-1.0.drv`)).toBe('hello-1.0');
});

test.each(['/etc/passwd', '/nix/store/../../etc/passwd', '/nix/store/a/b', '/nix/store/..', '/nix/store/'])(
  '%s is not taken for a store path',
  (path) => {
    expect(() => realPath({ storeDir: '/nix/store', realStoreDir: '/r/nix/store' }, path)).toThrow(
      /not a path in the store/,
    );
  },
);

const word = fc.string({ unit: 'binary' });
const optional = fc.option(fc.string({ minLength: 1 }), { nil: undefined });
const anyDerivation: fc.Arbitrary<Derivation> = fc.record({
  outputs: mapOf(word, fc.record({ path: optional, hashAlgorithm: optional, hash: optional })),
  inputDerivations: mapOf(word, fc.array(word)),
  inputSources: fc.array(word),
  system: word,
  builder: word,
  arguments: fc.array(word),
  environment: mapOf(word, word),
});

function mapOf<V>(key: fc.Arbitrary<string>, value: fc.Arbitrary<V>): fc.Arbitrary<Map<string, V>> {
  return fc.array(fc.tuple(key, value)).map((entries) => new Map(entries));
}

test('Any derivation survives being written and read', () => {
  fc.assert(
    fc.property(anyDerivation, (derivation) => {
      expect(parseDerivation(formatDerivation(derivation))).toEqual(derivation);
    }),
  );
});

test('Bytes that are not UTF-8 survive being read and written', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (raw) => {
      const text = Buffer.from(raw)
        .toString('latin1')
        .replace(/["\\]/g, '\\$&')
        .replace(/\n/g, '\\n')
        .replace(/\r/g, '\\r')
        .replace(/\t/g, '\\t');
      const content = Buffer.from(`Derive([],[],[],"s","b",["${text}"],[])`, 'latin1');
      expect(formatDerivation(parseDerivation(content)).equals(content)).toBe(true);
    }),
  );
});

test('Damaged derivations are refused, and nothing but refused', () => {
  const whole =
    'Derive([("out","/nix/store/x","","")],[("/d.drv",["out"])],["/s"],"s","b",["a\\n"],[("k","v")])';
  const content = Buffer.from(whole);
  expect(parseDerivation(content).system).toBe('s');
  fc.assert(
    fc.property(fc.nat(content.length - 1), (length) => {
      expect(() => parseDerivation(content.subarray(0, length))).toThrow(DerivationSyntaxError);
    }),
  );
  fc.assert(
    fc.property(fc.nat(content.length - 1), fc.nat(255), (at, byte) => {
      const damaged = Buffer.from(content);
      damaged[at] = byte;
      try {
        parseDerivation(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(DerivationSyntaxError);
      }
    }),
  );
});

test.each([
  '',
  'Derive()',
  'DrvWithVersion("xp-dyn-drv",[],[],[],"s","b",[],[])',
  `${'Derive([],[],[],"s","b",[],[])'} `,
])('%j is not a derivation', (text) => {
  expect(() => parseDerivation(Buffer.from(text))).toThrow(DerivationSyntaxError);
});
