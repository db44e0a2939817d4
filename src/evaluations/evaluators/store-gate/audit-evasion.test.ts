/** Ways around the audit that a plain look at a derivation's inputs does not see. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../basics/index.ts';
import { createPendingDerivations, createTextWriter } from '../../../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../../nix/test-nix.ts';
import { createEvaluator, type Evaluator } from '../create-evaluator.ts';
import {
  errorsOf,
  jobsOf,
  makeTestFolder,
  requestFor,
  type TestFolder,
  writeCheckout,
} from '../test-evaluation.ts';

const prelude = `let
  b = name: extra: derivation ({ inherit name; system = builtins.currentSystem; builder = "/bin/sh"; } // extra);
  known = path: builtins.appendContext path { "\${path}" = { path = true; }; };
  job = drvPath: { type = "derivation"; name = "job"; inherit drvPath; };
in\n`;

let folder: TestFolder;
beforeAll(async () => {
  folder = await makeTestFolder();
});
afterAll(() => folder.remove());

describe.each(nixesUnderTest)('with $name', (under) => {
  let testNix: TestNix;
  let evaluator: Evaluator;
  /** A path of another project, a derivation of theirs that reads it, and what that has made. */
  const theirs = { source: '', derivation: '', output: '', text: '' };
  beforeAll(async () => {
    testNix = await openTestNix(under);
    const file = join(folder.path, 'secret-of-others');
    await writeFile(file, 'the secret of others');
    theirs.source = (await testNix.run('nix-store', ['--add', file])).trim();
    theirs.derivation = await testNix.derivation(
      'read line < $from; echo "$line" > $out',
      `from = builtins.appendContext "${theirs.source}" { "${theirs.source}" = { path = true; }; };`,
    );
    theirs.output = (await testNix.run('nix-store', ['--realise', theirs.derivation])).trim();
    const { storeDir, realStoreDir } = testNix.nix.layout;
    theirs.text = await readFile(theirs.derivation.replace(storeDir, realStoreDir), 'latin1');
    const { environment: env, layout: store } = testNix.nix;
    evaluator = await createEvaluator({ nix: { env, store }, log: silentLogger(), prefer: 'built-in' });
  });
  afterAll(() => testNix.close());

  async function evaluate(nix: string, files: Readonly<Record<string, string>> = {}) {
    const checkout = await writeCheckout(folder.path, { 'ci.nix': prelude + nix, ...files }, '');
    const { access, programs, environment: env } = testNix.nix;
    const derivations = createPendingDerivations(
      createTextWriter({ access, nixDaemon: programs['nix-daemon'], env }),
    );
    const provenance = { allowed: async () => new Set<string>(), remember: async () => {} };
    const events = [];
    for await (const event of evaluator.evaluate({ ...requestFor(checkout), derivations, provenance })) {
      events.push(event);
    }
    return {
      jobs: jobsOf(events).map(({ path }) => path.join('.')),
      errors: Object.fromEntries(errorsOf(events).map(({ path, message }) => [path.join('.'), message])),
      derivations,
      drvPaths: jobsOf(events).map(({ drvPath }) => drvPath),
    };
  }

  test('a derivation written by hand makes no path its own by claiming it as an output', async () => {
    const { source } = theirs;
    const claim = (name: string, outputs: string) =>
      `builtins.toFile "${name}.drv" ''Derive([${outputs}],[],[],"x86_64-linux","/bin/sh",[],[("out","${source}")])''`;
    const { jobs, errors } = await evaluate(`
      let claims = [ (${claim('one', `("out","${source}","","")`)})
                     (${claim('two', `("out","${theirs.output}","",""),("dev","${source}","","")`)}) ];
      in builtins.deepSeq claims {
        a = b "a" { from = known "${source}"; };
        broken = b "broken" { from = ${claim('broken', '("out')}; };
        claimed = job (builtins.head claims);
        good = b "good" { };
      }`);
    expect(jobs).toEqual(['claimed', 'good']);
    expect(errors.broken).toContain("'broken.drv' is not a derivation");
    expect(errors.a).toContain('neither this repository');
  });

  test('a derivation that comes as a file is looked through as well, or refused', async () => {
    const { jobs, errors } = await evaluate(
      `{
        file = job "\${builtins.path { path = ./stolen.drv; name = "test.drv"; recursive = false; }}";
        tree = job "\${builtins.path { path = ./stolen.drv; name = "test.drv"; }}";
        text = job (builtins.toFile "test.drv" (builtins.readFile ./stolen.drv));
        good = b "good" { };
      }`,
      { 'stolen.drv': theirs.text },
    );
    expect(jobs).toEqual(['good']);
    expect(Object.keys(errors).sort()).toEqual(['file', 'text', 'tree']);
  });

  test('what a derivation made that is refused is refused with it', async () => {
    const { jobs, errors } = await evaluate(
      `let copied = builtins.toFile "test.drv" (builtins.readFile ./stolen.drv);
      in builtins.seq copied {
        a = b "a" { from = known "${theirs.output}"; };
        read = b (builtins.readFile (known "${theirs.output}")) { };
        good = b "good" { };
      }`,
      { 'stolen.drv': theirs.text },
    );
    expect(jobs).toEqual(['good']);
    expect(JSON.stringify(errors)).not.toContain('the secret of others');
  });

  test('texts that refer to derivations, and outputs named without their derivation, pass', async () => {
    const { jobs, errors, derivations, drvPaths } = await evaluate(`
      let dependency = b "dependency" { args = [ "-c" "echo $RANDOM > $out" ]; source = ./ci.nix; };
          plain = builtins.unsafeDiscardStringContext dependency.outPath;
          text = builtins.toFile "names-a-derivation" (builtins.unsafeDiscardOutputDependency dependency.drvPath);
      in {
        text = b "text" { inherit text; };
        graph = b "graph" { exportReferencesGraph = [ "graph" dependency.drvPath ]; };
        same = builtins.seq (builtins.readFile dependency) (b "same" { from = known plain; });
        structured = b "structured" { __structuredAttrs = true; passAsFile = [ "text" ]; inherit text dependency; };
        fixed = b "fixed" { inherit dependency; outputHash = "\${builtins.hashString "sha256" "x"}";
          outputHashAlgo = "sha256"; outputHashMode = "flat"; };
        cleaned = b "cleaned" { src = builtins.filterSource (path: type: true) ./.; };
      }`);
    expect(errors).toEqual({});
    expect(jobs).toHaveLength(6);
    await derivations.write(drvPaths);
    expect((await testNix.store.queryValidPaths(drvPaths)).size).toBe(6);
  });
});
