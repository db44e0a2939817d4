/** A hostile ci.nix against every evaluator on every Nix: what it asks for, it does not get. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../src/basics/index.ts';
import {
  errorsOf,
  evaluateAll,
  jobsOf,
  jobsUnderTest,
  makeTestFolder,
  type TestFolder,
  writeCheckout,
} from '../src/evaluations/evaluators/test-evaluation.ts';
import { createEvaluator, type Evaluator } from '../src/evaluations/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../src/nix/test-nix.ts';

/** In every file that must not be read. */
const secret = 'the-private-key';

let folder: TestFolder;
let address: string;
const requests: string[] = [];
const server = createServer((request, response) => {
  requests.push(request.url ?? '');
  response.end(secret);
});

beforeAll(async () => {
  folder = await makeTestFolder();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  address = `127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`;
  await mkdir(join(folder.path, 'data'));
  await writeFile(join(folder.path, 'data', 'key.pem'), secret);
});
afterAll(async () => {
  server.close();
  await folder.remove();
});

describe.each(nixesUnderTest)('with $name', (under) => {
  let testNix: TestNix;
  beforeAll(async () => {
    testNix = await openTestNix(under);
  });
  afterAll(() => testNix.close());

  describe.each(['built-in', 'nix-eval-jobs'] as const)('%s', (prefer) => {
    let evaluator: Evaluator;
    beforeAll(async () => {
      const { environment, layout } = testNix.nix;
      const nix = { env: environment, store: layout, ...jobsUnderTest(under) };
      evaluator = await createEvaluator({ nix, log: silentLogger(), prefer, jail: 'required' });
    });

    /** Evaluates expressions, each alone, beside a good job. All events as text, and what failed. */
    async function attack(expressions: Readonly<Record<string, string>>, trusted: boolean) {
      const attempts = Object.entries(expressions).map(
        ([name, nix]) =>
          `  ${name} = d "got-\${builtins.replaceStrings [ "\\n" " " ":" "/" ] [ "" "" "" "" ] (toString (${nix}))}";`,
      );
      const checkout = await writeCheckout(folder.path, {
        'ci.nix': `{\n${attempts.join('\n')}\n  zz = d "zz"; }`,
        'out.nix': `-> ${join(folder.path, 'data', 'key.pem')}`,
        out: `-> ${join(folder.path, 'data')}`,
      });
      const events = await evaluateAll(evaluator, checkout, { trusted });
      return {
        text: JSON.stringify(events),
        failed: errorsOf(events)
          .map(({ path }) => path.join('.'))
          .sort(),
        jobs: jobsOf(events).map(({ path }) => path.join('.')),
      };
    }

    const expectNothingGot = async (expressions: Readonly<Record<string, string>>, trusted: boolean) => {
      const { text, failed, jobs } = await attack(expressions, trusted);
      expect(jobs).toEqual(['zz']);
      expect(failed).toEqual(Object.keys(expressions).sort());
      expect(text).not.toContain(secret);
      expect(text).not.toContain('root:x:');
    };

    test.each([true, false])('files of the machine cannot be read (trusted: %s)', async (trusted) => {
      const key = join(folder.path, 'data', 'key.pem');
      const other = join(await writeCheckout(folder.path, { 'ci.nix': '{ }', of: secret }), 'of');
      await expectNothingGot(
        {
          absolute: 'builtins.readFile /etc/passwd',
          text: 'builtins.readFile "/etc/passwd"',
          environ: 'builtins.readFile /proc/self/environ',
          first: 'builtins.readFile /proc/1/environ',
          processes: 'builtins.attrNames (builtins.readDir /proc/1)',
          above: 'builtins.readFile ./../../data/key.pem',
          far: `builtins.readFile ${'../'.repeat(12)}etc/passwd`,
          link: 'builtins.readFile ./out.nix',
          folder: 'builtins.readFile ./out/key.pem',
          listed: 'builtins.attrNames (builtins.readDir ./out)',
          imported: 'import ./out.nix',
          dataDirectory: `builtins.readFile ${key}`,
          otherCheckout: `builtins.readFile ${other}`,
          copied: `builtins.path { path = ${key}; name = "key"; }`,
          interpolated: `"\${${key}}"`,
          database: 'builtins.readFile /nix/var/nix/db/db.sqlite',
        },
        trusted,
      );
    });

    test('nothing of the environment and no search path is there', async () => {
      await expectNothingGot({ nixpkgs: 'import <nixpkgs> { }', exec: 'builtins.exec [ "id" ]' }, true);
      const { jobs } = await attack(
        {
          home: 'if builtins.getEnv "HOME" == "" && builtins.getEnv "PATH" == "" then "nothing" else throw "seen"',
          exists: 'if builtins.pathExists /etc/passwd then throw "seen" else "nothing"',
        },
        true,
      );
      expect(jobs.sort()).toEqual(['exists', 'home', 'zz']);
    });

    test.each([true, false])(
      'no local server and no local file is fetched (trusted: %s)',
      async (trusted) => {
        await expectNothingGot(
          {
            loopback: `builtins.readFile (builtins.fetchurl "http://${address}/a")`,
            tarball: `fetchTarball "http://${address}/a.tar.gz"`,
            git: `(builtins.fetchGit "http://${address}/a.git").outPath`,
            linkLocal: 'builtins.readFile (builtins.fetchurl "http://169.254.169.254/latest/meta-data")',
            file: 'builtins.readFile (builtins.fetchurl "file:///etc/passwd")',
            localGit: `(builtins.fetchGit "${join(folder.path, 'data')}").outPath`,
            localGitUrl: `(builtins.fetchGit { url = "file://${folder.path}"; }).outPath`,
          },
          trusted,
        );
        expect(requests).toEqual([]);
      },
    );

    test('untrusted code reaches no server that trusted code may fetch from', async () => {
      const { environment, layout } = testNix.nix;
      const nix = { env: environment, store: layout, ...jobsUnderTest(under) };
      const allowedUris = ['http://'];
      const open = await createEvaluator({ nix, log: silentLogger(), prefer, jail: 'required', allowedUris });
      const body = `{ a = d (builtins.readFile (builtins.fetchurl "http://${address}/allowed-${prefer}-${Date.now()}")); }`;
      const checkout = await writeCheckout(folder.path, body);
      expect(jobsOf(await evaluateAll(open, checkout, { trusted: false }))).toEqual([]);
      expect(requests).toEqual([]);
      expect(jobsOf(await evaluateAll(open, checkout))).toMatchObject([{ name: secret }]);
      expect(requests.splice(0)).toHaveLength(1);
    });

    test('nixConfig of a repository has no effect, and fixed fetches of Nix still make derivations', async () => {
      const checkout = await writeCheckout(folder.path, {
        'ci.nix': `{ nixConfig = { restrict-eval = false; sandbox = false; };
          a = d (if builtins.getEnv "PATH" == "" then "held" else "free");
          fetch = import <nix/fetchurl.nix> { url = "http://${address}/x"; sha256 = "${'0'.repeat(52)}"; }; }`,
        'flake.nix': '{ nixConfig.restrict-eval = false; outputs = _: { }; }',
      });
      const events = await evaluateAll(evaluator, checkout, { trusted: false });
      expect(errorsOf(events)).toEqual([]);
      expect(jobsOf(events).map(({ name }) => name)).toEqual(['held', 'x']);
    });

    test('a builder that import from derivation starts cannot write beside its output', async () => {
      const target = join(folder.path, 'data', `written-${prefer}`);
      const { jobs } = await attack(
        {
          built: `builtins.readFile (derivation { name = "writes"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo x > ${target}; echo x > /etc/passwd; if [ -e ${folder.path} ]; then exit 1; fi; echo -n held > $out" ]; })`,
        },
        true,
      );
      expect(jobs.sort()).toEqual(['built', 'zz']);
      expect(await readdir(join(folder.path, 'data'))).toEqual(['key.pem']);
    });
  });
});

describe('where nothing can lock evaluations in', () => {
  test('untrusted code is refused with the reason, trusted code runs with a notice, and required is an error', async () => {
    const [under] = nixesUnderTest;
    if (under === undefined) throw new Error('there is no Nix to test with');
    const testNix = await openTestNix(under);
    try {
      const { environment, layout, programs } = testNix.nix;
      const env = { ...environment, PATH: join(folder.path, 'data') };
      const nix = { env, store: layout, nixInstantiate: programs['nix-instantiate'] };
      const evaluator = await createEvaluator({ nix, log: silentLogger() });
      const checkout = await writeCheckout(folder.path, '{ a = d "a"; }');
      const refused = await evaluateAll(evaluator, checkout, { trusted: false });
      expect(errorsOf(refused)).toMatchObject([
        { path: [], message: expect.stringMatching(/not installed/) },
      ]);
      expect(jobsOf(refused)).toEqual([]);
      const trusted = await evaluateAll(evaluator, checkout);
      expect(jobsOf(trusted)).toHaveLength(1);
      expect(trusted).toContainEqual({
        type: 'notice',
        message: expect.stringMatching(/not locked in: bubblewrap .* is not installed/),
      });
      await expect(createEvaluator({ nix, log: silentLogger(), jail: 'required' })).rejects.toMatchObject({
        code: 'jail-unavailable',
        exitStatus: 3,
      });
    } finally {
      await testNix.close();
    }
  });
});
