/** Repositories with a flake.nix and none of the three files, on every evaluator and every Nix. */
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProcess, silentLogger } from '../../../basics/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../../nix/test-nix.ts';
import { createEvaluator, type Evaluator, type EvaluatorOptions } from '../create-evaluator.ts';
import {
  type CheckoutFiles,
  errorsOf,
  evaluateAll,
  jobsOf,
  jobsUnderTest,
  makeTestFolder,
  type TestFolder,
  writeCheckout,
} from '../test-evaluation.ts';

const drv = 'name: system: derivation { inherit name system; builder = "/bin/sh"; }';

/** A flake with these outputs; `d NAME SYSTEM` makes a derivation. */
const flake = (outputs: string, inputs = '') =>
  `{\n  ${inputs}\n  outputs = inputs: let d = ${drv}; in ${outputs};\n}\n`;

let folder: TestFolder;
beforeAll(async () => {
  folder = await makeTestFolder();
});
afterAll(() => folder.remove());

/** Writes files as they are; the first line of a flake must be its set. */
const checkoutWith = (files: Readonly<Record<string, string>>) => writeCheckout(folder.path, files, '');

describe.each(nixesUnderTest)('with $name', (under) => {
  let testNix: TestNix;
  beforeAll(async () => {
    testNix = await openTestNix(under);
  });
  afterAll(() => testNix.close());

  describe.each(['built-in', 'nix-eval-jobs'] as const)('%s', (prefer) => {
    const createWith = (options: Partial<EvaluatorOptions> = {}): Promise<Evaluator> =>
      createEvaluator({
        nix: { env: testNix.nix.environment, store: testNix.nix.layout, ...jobsUnderTest(under) },
        log: silentLogger(),
        prefer,
        systems: ['x86_64-linux'],
        ...options,
      });
    const evaluate = async (files: CheckoutFiles, options?: Partial<EvaluatorOptions>) =>
      evaluateAll(
        await createWith(options),
        await checkoutWith(typeof files === 'string' ? { 'flake.nix': files } : files),
      );
    const pathsOf = (events: Awaited<ReturnType<typeof evaluate>>) =>
      jobsOf(events).map(({ path }) => path.join('.'));
    // Several workers of nix-eval-jobs answer in any order.
    const errorsByPath = (events: Awaited<ReturnType<typeof evaluate>>) =>
      errorsOf(events).toSorted((a, b) => (a.path.join('.') < b.path.join('.') ? -1 : 1));

    test('the outputs of the wanted systems are jobs under the names the flake gives them', async () => {
      const events = await evaluate(
        flake(`{
          checks.x86_64-linux.lint = d "lint" "x86_64-linux";
          packages.x86_64-linux.hello = d "hello" "x86_64-linux";
          packages.aarch64-linux.hello = throw "not wanted";
          devShells.x86_64-linux.default = d "shell" "x86_64-linux";
          formatter.x86_64-linux = d "format" "x86_64-linux";
          hydraJobs.deep.er.job = d "job" "x86_64-linux";
          nixosConfigurations.box.config.system.build.toplevel = d "box" "x86_64-linux";
          overlays.default = throw "not looked at";
          lib = throw "not looked at";
        }`),
      );
      expect(events[0]).toMatchObject({ type: 'started', file: 'flake.nix' });
      expect(errorsOf(events)).toEqual([]);
      expect(pathsOf(events).sort()).toEqual([
        'checks.x86_64-linux.lint',
        'devShells.x86_64-linux.default',
        'formatter.x86_64-linux',
        'hydraJobs.deep.er.job',
        'nixosConfigurations.box.config.system.build.toplevel',
        'packages.x86_64-linux.hello',
      ]);
    });

    test('other systems are wanted when the operator says so', async () => {
      const outputs = `{
        packages.x86_64-linux.a = d "a" "x86_64-linux";
        packages.aarch64-linux.a = d "a" "aarch64-linux";
      }`;
      const events = await evaluate(flake(outputs), { systems: ['aarch64-linux', 'x86_64-linux'] });
      expect(pathsOf(events)).toEqual(['packages.aarch64-linux.a', 'packages.x86_64-linux.a']);
    });

    test('the repository’s own wish for systems goes before the operator’s', async () => {
      const outputs = `{
        packages.x86_64-linux.a = d "a" "x86_64-linux";
        packages.aarch64-linux.a = d "a" "aarch64-linux";
      }`;
      const checkout = await checkoutWith({ 'flake.nix': flake(outputs) });
      const events = await evaluateAll(await createWith(), checkout, { systems: ['aarch64-linux'] });
      expect(pathsOf(events)).toEqual(['packages.aarch64-linux.a']);
    });

    test('a failing attribute is an error with its place, and the others are jobs', async () => {
      const events = await evaluate(
        flake(
          '{\n    packages.x86_64-linux = {\n      a = d "a" "x86_64-linux";\n      b = { }.missing;\n      c = d "c" "x86_64-linux";\n    };\n    checks = throw "no checks";\n  }',
        ),
      );
      expect(pathsOf(events).sort()).toEqual(['packages.x86_64-linux.a', 'packages.x86_64-linux.c']);
      expect(errorsByPath(events)).toMatchObject([
        { path: ['checks'], message: expect.stringMatching(/no checks/) },
        { path: ['packages', 'x86_64-linux', 'b'], location: { file: 'flake.nix', line: 6 } },
      ]);
      for (const { message } of errorsOf(events)) expect(message).not.toMatch(/[a-z0-9]{32}-source/);
    });

    test('many failures are each reported', async () => {
      const events = await evaluate(
        flake(`{ packages.x86_64-linux = builtins.listToAttrs (builtins.genList (n: {
          name = "n" + toString n;
          value = if n < 6 then throw "failure \${toString n}" else d "n\${toString n}" "x86_64-linux";
        }) 8); }`),
      );
      expect(pathsOf(events).sort()).toEqual(['packages.x86_64-linux.n6', 'packages.x86_64-linux.n7']);
      expect(errorsByPath(events).map(({ message }) => /failure \d/.exec(message)?.[0])).toEqual(
        [0, 1, 2, 3, 4, 5].map((n) => `failure ${n}`),
      );
    });

    test('evaluation is pure', async () => {
      const events = await evaluate(
        flake(`{ packages.x86_64-linux = {
          system = d builtins.currentSystem "x86_64-linux";
          file = builtins.readFile "/etc/hostname";
          unpinned = builtins.fetchTarball "https://example.invalid/x.tar.gz";
          known = d (inputs.self.shortRev or "dirty") "x86_64-linux";
        }; }`),
      );
      expect(jobsOf(events).map(({ name }) => name)).toEqual(['1234567']);
      expect(errorsOf(events)).toHaveLength(3);
    });

    test('inputs inside the repository are used as flake.lock says', async () => {
      const files = {
        'flake.nix': flake(
          '{ packages.x86_64-linux.a = d inputs.lib.word "x86_64-linux"; }',
          'inputs.lib.url = "path:./lib";',
        ),
        'lib/flake.nix': '{ outputs = _: { word = "from-lib"; }; }',
      };
      const checkout = await checkoutWith(files);
      const nix = testNix.nix.programs.nix;
      const args = [
        '--extra-experimental-features',
        'nix-command flakes',
        'flake',
        'lock',
        `path:${checkout}`,
      ];
      const locked = await runProcess(nix, args, { env: testNix.nix.environment });
      expect(locked.stderr).not.toMatch(/error:/);
      const lock = await readFile(join(checkout, 'flake.lock'), 'utf8');
      const events = await evaluateAll(await createWith(), checkout);
      expect(errorsOf(events)).toEqual([]);
      expect(jobsOf(events).map(({ name }) => name)).toEqual(['from-lib']);
      expect(await readFile(join(checkout, 'flake.lock'), 'utf8')).toBe(lock);
    });

    test.each([
      ['missing', {}],
      ['stale', { 'flake.lock': '{"nodes":{"root":{}},"root":"root","version":7}' }],
    ])('a lock file that is %s is the error of the evaluation, and is not written', async (_, lock) => {
      const checkout = await checkoutWith({
        'flake.nix': flake('{ }', 'inputs.other.url = "github:example/other";'),
        ...lock,
      });
      const events = await evaluateAll(await createWith(), checkout);
      expect(errorsOf(events)).toMatchObject([
        { path: [], message: expect.stringMatching(/'flake\.lock' is missing or stale.*'other'/) },
      ]);
      const after = await readFile(join(checkout, 'flake.lock'), 'utf8').catch(() => undefined);
      expect(after).toBe(Object.values(lock)[0]);
    });

    test('a lock file that leads out of the repository is not read', async () => {
      const events = await evaluate({ 'flake.nix': flake('{ }'), 'flake.lock': '-> /dev/zero' });
      expect(errorsOf(events)).toMatchObject([
        { path: [], message: `'flake.lock' cannot be read: it is not a lock file of Nix flakes.` },
      ]);
    });

    test('an input that must not be fetched is refused before Nix sees it', async () => {
      const x = { locked: { type: 'tarball', url: 'http://127.0.0.1/x', narHash: 'sha256-x' } };
      const events = await evaluate({
        'flake.nix': flake('{ }', 'inputs.x.url = "github:a/b";'),
        'flake.lock': JSON.stringify({
          nodes: { root: { inputs: { x: 'x' } }, x },
          root: 'root',
          version: 7,
        }),
      });
      expect(errorsOf(events)).toMatchObject([
        { path: [], message: expect.stringMatching(/http:\/\/127\.0\.0\.1/) },
      ]);
    });

    test('outputs that fail as a whole are one error, and the others are jobs', async () => {
      const events = await evaluate(
        flake(
          '{ packages.x86_64-linux = throw "none"; checks.x86_64-linux.a = d "a" "x86_64-linux"; }',
          'nixConfig.accept-flake-config = true;',
        ),
      );
      expect(pathsOf(events)).toEqual(['checks.x86_64-linux.a']);
      expect(errorsOf(events)).toMatchObject([
        { path: ['packages', 'x86_64-linux'], message: expect.stringContaining('none') },
      ]);
    });

    test('a relative path locked by a later Nix is read, or the error says what this one cannot', async () => {
      const lib = { locked: { path: './lib', type: 'path' }, original: { path: './lib', type: 'path' } };
      const lock = { nodes: { root: { inputs: { lib: 'lib' } }, lib: { ...lib, parent: [] } } };
      const events = await evaluate({
        'flake.nix': flake(
          '{ packages.x86_64-linux.a = d inputs.lib.word "x86_64-linux"; }',
          'inputs.lib.url = "path:./lib";',
        ),
        'lib/flake.nix': '{ outputs = _: { word = "from-lib"; }; }',
        'flake.lock': JSON.stringify({ ...lock, root: 'root', version: 7 }),
      });
      const names = jobsOf(events).map(({ name }) => name);
      const problems = errorsOf(events).map(({ message }) => message.includes("'./lib', a relative path"));
      expect([
        [['from-lib'], []],
        [[], [true]],
      ]).toContainEqual([names, problems]);
    });

    test('nixConfig is not taken', async () => {
      const events = await evaluate(
        flake(
          '{ packages.x86_64-linux.a = d "a" "x86_64-linux"; }',
          'nixConfig.allow-import-from-derivation = false;',
        ),
      );
      expect(pathsOf(events)).toEqual(['packages.x86_64-linux.a']);
    });

    test('ci.nix and default.nix are before flake.nix', async () => {
      const events = await evaluate({ 'flake.nix': 'throw "no"', 'default.nix': '{ }' });
      expect(events[0]).toMatchObject({ type: 'started', file: 'default.nix' });
    });

    test('in a working tree the flake is what git tracks, as it lies there', async () => {
      const checkout = await checkoutWith({
        'flake.nix': flake(
          '{ packages.x86_64-linux = builtins.mapAttrs (name: _: d name "x86_64-linux") (builtins.readDir ./.); }',
        ),
        script: 'said',
        untracked: 'x',
      });
      await chmod(join(checkout, 'script'), 0o755);
      const git = (...args: string[]) =>
        runProcess('git', ['-C', checkout, ...args], { env: { PATH: process.env.PATH ?? '' } });
      await git('init', '--quiet');
      await git('add', 'flake.nix', 'script');
      const events = await evaluateAll(await createWith(), checkout);
      expect(pathsOf(events)).toEqual(['packages.x86_64-linux.flake.nix', 'packages.x86_64-linux.script']);
    });

    test('a flake with a syntax error is the error of the evaluation, with its place', async () => {
      const events = await evaluate('{\n  outputs = _: {\n');
      expect(errorsOf(events)).toMatchObject([{ path: [], location: { file: 'flake.nix' } }]);
    });
  });
});
