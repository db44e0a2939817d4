/** What the code under evaluation may take from a store that it shares with others. */

import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProcess, silentLogger } from '../../../basics/index.ts';
import { createPendingDerivations, createTextWriter } from '../../../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../../nix/test-nix.ts';
import { createEvaluator, type Evaluator } from '../create-evaluator.ts';
import {
  errorsOf,
  jobsOf,
  jobsUnderTest,
  makeTestFolder,
  requestFor,
  type TestFolder,
  writeCheckout,
} from '../test-evaluation.ts';

let folder: TestFolder;
beforeAll(async () => {
  folder = await makeTestFolder();
});
afterAll(() => folder.remove());

/** A project's memory of what its evaluations added, kept here. */
function project() {
  const remembered = new Set<string>();
  return {
    remembered,
    allowed: async (paths: readonly string[]) => new Set(paths.filter((path) => remembered.has(path))),
    remember: async (paths: readonly string[]) => {
      for (const path of paths) remembered.add(path);
    },
  };
}

const body = (attributes: string) =>
  `let b = name: extra: derivation ({ inherit name; system = builtins.currentSystem; builder = "/bin/sh"; } // extra); in\n${attributes}`;

describe.each(nixesUnderTest)('with $name', (under) => {
  let testNix: TestNix;
  let foreign: string;
  let foreignDerivation: string;
  beforeAll(async () => {
    testNix = await openTestNix(under);
    const file = join(folder.path, 'secret-of-others');
    await writeFile(file, 'the secret of others');
    foreign = (await testNix.run('nix-store', ['--add', file])).trim();
    foreignDerivation = await testNix.derivation('echo theirs > $out');
  });
  afterAll(() => testNix.close());

  describe.each(['built-in', 'nix-eval-jobs'] as const)('%s', (prefer) => {
    let evaluator: Evaluator;
    beforeAll(async () => {
      const { environment: env, layout: store } = testNix.nix;
      evaluator = await createEvaluator({
        nix: { env, store, ...jobsUnderTest(under) },
        log: silentLogger(),
        prefer,
        allowedUris: ['http://'],
      });
    });

    const derivations = () => {
      const { access, programs, environment: env } = testNix.nix;
      return createPendingDerivations(createTextWriter({ access, nixDaemon: programs['nix-daemon'], env }));
    };

    async function evaluate(nix: string, provenance = project(), files = {}) {
      const checkout = await writeCheckout(folder.path, { 'ci.nix': body(nix), ...files }, '');
      const events = [];
      const request = { ...requestFor(checkout), derivations: derivations(), provenance };
      for await (const event of evaluator.evaluate(request)) events.push(event);
      return {
        jobs: jobsOf(events).map(({ path }) => path.join('.')),
        errors: Object.fromEntries(errorsOf(events).map(({ path, message }) => [path.join('.'), message])),
        derivations: request.derivations,
      };
    }

    test('a path of others is refused, however it gets into a derivation', async () => {
      const plain = (path: string, context: string) =>
        `builtins.appendContext "${path}" { "${path}" = { ${context} }; }`;
      const { jobs, errors } = await evaluate(`{
        source = b "source" { from = ${plain(foreign, 'path = true;')}; };
        nested = b "nested" { needs = b "needed" { args = [ (${plain(foreign, 'path = true;')}) ]; }; };
        input = b "input" { from = ${plain(foreignDerivation, 'outputs = [ "out" ];')}; };
        all = b "all" { from = ${plain(foreignDerivation, 'allOutputs = true;')}; };
        derivation = b "derivation" { from = ${plain(foreignDerivation, 'path = true;')}; };
        stored = b "stored" { from = builtins.storePath "${foreign}"; };
        imported = import (b "imported" { args = [ "-c" "read line < \${${plain(foreign, 'path = true;')}}; echo \\"\\\\\\"$line\\\\\\"\\" > $out" ]; });
        good = b "good" { };
      }`);
      expect(jobs).toEqual(['good']);
      expect(Object.keys(errors).sort()).toEqual(
        ['all', 'derivation', 'imported', 'input', 'nested', 'source', 'stored'].sort(),
      );
      for (const name of ['source', 'nested', 'imported']) {
        expect(errors[name]).toContain(`${foreign}, which neither this repository's evaluation made`);
      }
      expect(JSON.stringify(errors)).not.toContain('the secret of others');
    });

    test('what belongs to the repository passes, new and the second time', async () => {
      const owned = project();
      const all = `let dependency = b "dependency" { text = builtins.toFile "text" "text"; }; in {
        file = b "file" { source = ./file; };
        tree = b "tree" { source = builtins.path { path = ./.; name = "tree"; }; };
        text = b "text" { inherit dependency; deep = dependency.drvPath; };
        imported = import (b "imported" { args = [ "-c" "echo '{ type = \\"derivation\\"; }' > $out" ]; }) // (b "result" { });
        made = b (builtins.readFile (b "made" { args = [ "-c" "printf name > $out" ]; })) {
          from = "\${b "made" { args = [ "-c" "printf name > $out" ]; }}"; };
      }`;
      for (const _ of ['first', 'second']) {
        const { jobs, errors } = await evaluate(all, owned, { file: 'of this repository' });
        expect(errors).toEqual({});
        expect(jobs.sort()).toEqual(['file', 'imported', 'made', 'text', 'tree']);
      }
      expect(owned.remembered.size).toBeGreaterThan(2);
    });

    test("what another project has fetched is fetched again, and then is one's own", async () => {
      const content = `tarball-${prefer}-${under.name}`;
      let requests = 0;
      const archive = await tarball(folder.path, content);
      const server = createServer((_, response) => {
        requests += 1;
        response.end(archive);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const bound = server.address();
      const url = `http://127.0.0.1:${typeof bound === 'object' && bound ? bound.port : 0}/a.tar`;
      const hash = await narHash(testNix, folder.path, content);
      const fetch = `{ a = b "fetched" { from = fetchTarball { url = "${url}"; sha256 = "${hash}"; }; }; }`;
      const mine = project();
      try {
        expect(await evaluate(fetch)).toMatchObject({ jobs: ['a'], errors: {} });
        expect(await evaluate(fetch, mine)).toMatchObject({ jobs: ['a'], errors: {} });
        const before = requests;
        expect(before).toBeGreaterThanOrEqual(2);
        expect(await evaluate(fetch, mine)).toMatchObject({ jobs: ['a'], errors: {} });
        expect(requests).toBe(before);
      } finally {
        server.close();
      }
    });

    test('derivations that nobody looked at are not in the store until they are written', async () => {
      const { derivations: made, jobs } = await evaluate(
        `{ a = b "unwritten-${prefer}" { input = b "unwritten-input-${prefer}" { source = ./ci.nix; }; }; }`,
      );
      expect(jobs).toEqual(['a']);
      const paths = [...made.paths()];
      expect(paths).toHaveLength(2);
      // nix-eval-jobs reads each derivation that it has found.
      const looked = prefer === 'built-in' ? 0 : 2;
      expect((await testNix.store.queryValidPaths(paths)).size).toBe(looked);
      await made.write(paths);
      expect((await testNix.store.queryValidPaths(paths)).size).toBe(2);
      const [path = ''] = paths;
      const { storeDir, realStoreDir } = testNix.nix.layout;
      expect(await readFile(path.replace(storeDir, realStoreDir), 'latin1')).toContain('Derive(');
    });
  });
});

/** A tarball of a folder with one file in it. */
async function tarball(below: string, content: string): Promise<Buffer> {
  await run('mkdir', ['-p', join(below, content, 'source')]);
  await writeFile(join(below, content, 'source', 'file'), content);
  await run('tar', ['-cf', join(below, `${content}.tar`), '-C', join(below, content), 'source']);
  return await readFile(join(below, `${content}.tar`));
}

async function narHash(nix: TestNix, below: string, content: string): Promise<string> {
  const folderOfFile = join(below, content, 'source');
  const path = (await nix.run('nix-store', ['--add', folderOfFile])).trim();
  const hash = (await nix.run('nix-store', ['--query', '--hash', path])).trim();
  return hash.replace('sha256:', '');
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await runProcess(program, args, { env: { PATH: process.env.PATH ?? '' } });
  if (exitCode !== 0) throw new Error(stderr);
}
