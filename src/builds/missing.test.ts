/** What has to be built, compared with what Nix itself answers about the same store. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProcess, silentLogger } from '../basics/index.ts';
import { type Derivation, detectNix, type NixStore, openLocalStore, readDerivation } from '../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { type BuildWish, createMissingPlanner, planMissing } from './missing.ts';
import type { DerivationTexts } from './wanted.ts';

const itself = (drvPath: string): BuildWish => ({ drvPath, itself: true });

describe.each(nixesUnderTest)('what is missing, with $name', (under) => {
  let it: TestNix;
  beforeAll(async () => {
    it = await openTestNix(under);
  });
  afterAll(() => it.close());

  const planned = async (wishes: readonly BuildWish[], store: NixStore = it.store) => {
    const plan = await planMissing({ store, layout: it.nix.layout }, wishes);
    return { ...plan, names: plan.wanted.map((build) => build.name) };
  };

  test('is what Nix says on a random graph, whatever is valid or can be fetched', async () => {
    const drvPaths = await it.instantiate(randomGraph(20));
    await it.run('nix-store', ['--realise', '-j2', ...drvPaths]);
    const outputs = (await Promise.all(drvPaths.map((path) => readDerivation(it.nix.layout, path)))).flatMap(
      (derivation) => [...derivation.outputs.values()].flatMap(({ path }) => path ?? []),
    );
    const cache = join(it.folder, 'cache');
    await mkdir(cache);
    const copied = outputs.filter((_, index) => index % 3 === 0);
    await it.run('nix', [
      'copy',
      '--extra-experimental-features',
      'nix-command',
      '--to',
      `file://${cache}`,
      ...copied,
    ]);
    let left = outputs;
    for (let stage = 0; stage < 4; stage += 1) {
      const gone = left.filter((_, index) => (index + stage) % 3 === 1);
      left = left.filter((path) => !gone.includes(path));
      if (gone.length > 0) await it.run('nix-store', ['--delete', ...gone]);
      // A daemon remembers what was valid, so each stage has its own.
      for (const substituters of ['', `file://${cache}`]) {
        const store = it.openStore({ overrides: { substituters } });
        await fc.assert(
          fc.asyncProperty(fc.subarray(drvPaths, { minLength: 1 }), fc.nat(20), async (targets, first) => {
            const { willBuild } = await store.queryMissing(targets);
            const planner = createMissingPlanner({ store, layout: it.nix.layout });
            // In two parts, the second knowing of the first.
            const parts = [targets.slice(0, first), targets.slice(first)];
            const wanted: string[] = [];
            for (const part of parts) {
              const plan = await planner.plan(part.map(itself));
              for (const build of plan.wanted) {
                wanted.push(build.drvPath);
                expect(willBuild).toContain(build.drvPath);
                for (const input of build.inputs) expect(willBuild).toContain(input);
              }
              expect(plan.missing).toEqual(new Set(part.filter((path) => willBuild.has(path))));
            }
            expect(wanted.sort()).toEqual([...willBuild].sort());
          }),
          { numRuns: 10 },
        );
        await store.close();
      }
    }
  });

  test('a derivation of which nothing but its inputs is wanted wants only these', async () => {
    const [top] = await it.instantiate(`let d = ${make}; in d "top" [ (d "low" [ (d "base" [ ]) ]) ]`);
    const plan = await planned([{ drvPath: top ?? '', itself: false }]);
    expect(plan.wanted.map(({ name, inputsOnly }) => [name, inputsOnly])).toEqual([
      ['low', false],
      ['base', false],
      ['top', true],
    ]);
    expect(plan.wanted.at(-1)?.inputs).toEqual([plan.wanted[0]?.drvPath]);
  });

  test('wishes for one derivation are put together: the most that any asks for', async () => {
    const [drvPath = ''] = await it.instantiate(`${make} "limits" [ ]`);
    const plan = await planned([
      { drvPath, itself: true, limits: { timeoutSeconds: 60, priority: -5 } },
      { drvPath, itself: true, limits: { timeoutSeconds: 30, maxSilentSeconds: 7, priority: -9 } },
    ]);
    expect(plan.limits.get(drvPath)).toEqual({ timeoutSeconds: 60, maxSilentSeconds: 7, priority: -5 });
  });

  test('a derivation that is gone is impossible, unless its outputs are known and valid', async () => {
    const [drvPath = ''] = await it.instantiate(`${make} "gone" [ ]`);
    await it.run('nix-store', ['--realise', drvPath]);
    const { outputs } = await planned([itself(drvPath)]);
    const known = outputs.get(drvPath);
    await it.run('nix-store', ['--delete', '--ignore-liveness', drvPath]);
    const fresh = it.openStore();
    expect((await planned([itself(drvPath)], fresh)).impossible.get(drvPath)).toMatch(/not in the store/);
    const plan = await planned([{ drvPath, itself: true, ...(known && { outputs: known }) }], fresh);
    expect(plan).toMatchObject({ wanted: [], impossible: new Map(), missing: new Set() });
    await fresh.close();
  });

  test('derivations that are only texts are planned like files, and fixed outputs by their paths', async () => {
    const [top = ''] = await it.instantiate(
      `let d = ${make}; in d "text-top" [ (d "text-low" [ ]) (derivation {
        name = "fixed"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo hi > $out" ];
        outputHash = "sha256-mOpsHVhmMu0BSjsLxHh3sriK/Hao0gGGmLIg+xkvSUk="; outputHashAlgo = "sha256"; }) ]`,
    );
    const all = new Map<string, Derivation>();
    for (const open = [top]; open.length > 0; ) {
      const drvPath = open.pop() ?? '';
      const derivation = await readDerivation(it.nix.layout, drvPath);
      all.set(drvPath, derivation);
      open.push(...derivation.inputDerivations.keys());
    }
    await it.run('nix-store', ['--delete', '--ignore-liveness', ...all.keys()]);
    const store = it.openStore();
    const texts: DerivationTexts = {
      has: (drvPath) => all.has(drvPath),
      read: (drvPath) => all.get(drvPath),
      write: () => Promise.reject(new Error('nothing asks for it')),
    };
    const plan = await planMissing({ store, layout: it.nix.layout, derivations: texts }, [itself(top)]);
    expect(plan.wanted.map(({ name, fixedOutput }) => [name, fixedOutput]).sort()).toEqual([
      ['fixed', true],
      ['text-low', false],
      ['text-top', false],
    ]);
    await store.close();
  });

  test('where output paths are known only after the build, Nix is asked', async () => {
    const nix = await detectNix(under.env, {
      home: join(it.folder, 'floating-home'),
      sandbox: 'required',
      store: join(it.folder, 'floating-store'),
      config: 'substituters =\nextra-experimental-features = ca-derivations',
    });
    const made = await runProcess(
      nix.programs['nix-instantiate'],
      [
        '--expr',
        `let floating = derivation { name = "floating"; system = "x86_64-linux"; builder = "/bin/sh";
           args = [ "-c" "echo > $out" ]; __contentAddressed = true; outputHashMode = "recursive";
           outputHashAlgo = "sha256"; };
         in ${make} "on-top" [ floating ]`,
      ],
      { env: nix.environment },
    );
    const store = openLocalStore({ nix, logger: silentLogger() });
    const plan = await planMissing({ store, layout: nix.layout }, [itself(made.stdout.trim())]);
    expect(plan.wanted.map(({ name, inputs }) => [name, inputs.length])).toEqual([
      ['on-top', 1],
      ['floating', 0],
    ]);
    expect(plan.wanted[1]?.outputs).toEqual({ out: null });
    await store.close();
  });
});

const make = `(name: inputs: derivation { inherit name inputs; system = "x86_64-linux"; builder = "/bin/sh";
  args = [ "-c" "echo > $out" ]; })`;

/** Derivations with one or two outputs that need some of the earlier ones' outputs. */
function randomGraph(size: number): string {
  const [seed = 0] = fc.sample(fc.nat(1_000_000), 1);
  let state = seed;
  const below = (limit: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * limit);
  };
  const nodes = Array.from({ length: size }, (_, index) => {
    const inputs = Array.from({ length: index === 0 ? 0 : below(4) }, () => {
      const input = below(index);
      return `n${input}.${input % 2 === 1 && below(2) === 0 ? 'dev' : 'out'}`;
    });
    return `n${index} = derivation { name = "n${index}-${seed}"; system = "x86_64-linux"; builder = "/bin/sh";
      outputs = [ "out" ${index % 2 === 1 ? '"dev"' : ''} ]; inputs = [ ${inputs.join(' ')} ];
      ${below(4) === 0 ? 'allowSubstitutes = false;' : ''}
      args = [ "-c" "for output in $outputs; do eval path=\\\\$$output; echo ${index} > $path; done" ]; };`;
  });
  return `let ${nodes.join('\n')} in [ ${nodes.map((_, index) => `n${index}`).join(' ')} ]`;
}
