/** Private repositories that code under evaluation fetches, and what it can learn of how. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from '../../../../test/github-double/index.ts';
import { mintToken } from '../../../../test/github-double/tokens.ts';
import { silentLogger } from '../../../basics/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../../nix/test-nix.ts';
import type { EvaluationEvent, FetchAccess } from '../../events.ts';
import { createEvaluator, type Evaluator } from '../create-evaluator.ts';
import {
  errorsOf,
  jobsOf,
  makeTestFolder,
  requestFor,
  type TestFolder,
  writeCheckout,
} from '../test-evaluation.ts';

let folder: TestFolder;
let double: GitHubDouble;
let rev: string;
let access: FetchAccess;

beforeAll(async () => {
  folder = await makeTestFolder();
  double = await startGitHubDouble();
  const { id } = await double.createRepository({ name: 'acme/library', private: true });
  const files = { 'default.nix': '"made of the library"' };
  rev = (await double.push({ repo: 'acme/library', files })).sha;
  const account = double.installation('acme');
  // A token for one repository, as the server gets it.
  const { value } = mintToken(double.world, account, { contents: 'read' }, new Set([id]));
  access = {
    webUrl: double.url,
    repositories: ['acme/library'],
    username: 'x-access-token',
    token: value,
  };
});
afterAll(async () => {
  await double.close();
  await folder.remove();
});

describe.each(nixesUnderTest)('with $name', (under) => {
  let testNix: TestNix;
  let evaluator: Evaluator;

  beforeAll(async () => {
    testNix = await openTestNix(under);
    evaluator = await createEvaluator({
      nix: { env: testNix.nix.environment, store: testNix.nix.layout },
      allowedUris: [`${double.url}/`, `git+${double.url}/`],
      log: silentLogger(),
      jail: 'required',
      prefer: 'built-in',
    });
  });
  afterAll(() => testNix.close());

  async function evaluate(ciNix: string, given?: FetchAccess, trusted = true) {
    const checkout = await writeCheckout(folder.path, { 'ci.nix': ciNix, link: '-> /proc/self/cwd/.netrc' });
    const events: EvaluationEvent[] = [];
    const request = { ...requestFor(checkout, { trusted }), ...(given && { fetchAccess: given }) };
    for await (const event of evaluator.evaluate(request)) events.push(event);
    return events;
  }
  const library = () =>
    `import (builtins.fetchGit { url = "${double.url}/acme/library"; rev = "${rev}"; ref = "main"; })`;

  test('what was pinned is fetched with the access that came along, and only then', async () => {
    const ciNix = `{ a = d (builtins.replaceStrings [ " " ] [ "-" ] (${library()})); }`;
    expect(jobsOf(await evaluate(ciNix, access))).toMatchObject([{ name: 'made-of-the-library' }]);
    for (const events of [await evaluate(ciNix), await evaluate(ciNix, access, false)]) {
      expect(jobsOf(events)).toEqual([]);
      expect(errorsOf(events)).toHaveLength(1);
    }
  });

  test('the code cannot read the token, wherever it looks', async () => {
    const looks: Record<string, string> = {
      env: `builtins.getEnv "HOME" + builtins.getEnv "NIX_USER_CONF_FILES" + builtins.getEnv "NIX_CONFIG"`,
      proc: `builtins.readFile "/proc/self/environ"`,
      absolute: `builtins.readFile /proc/self/cwd/.netrc`,
      path: `builtins.readFile "\${builtins.path { path = /proc/self/cwd; name = "home"; }}/.netrc"`,
      copied: `builtins.readFile "\${/proc/self/cwd/.netrc}"`,
      file: `builtins.readFile (builtins.fetchurl "file:///proc/self/cwd/.netrc")`,
      git: `builtins.readFile ((builtins.fetchGit "/proc/self/cwd") + "/.netrc")`,
      gitFile: `builtins.readFile ((builtins.fetchGit "file:///proc/self/cwd") + "/.netrc")`,
      tarball: `builtins.readFile ((builtins.fetchTarball "file:///proc/self/cwd/.netrc"))`,
      scoped: `builtins.toString (builtins.scopedImport { } /proc/self/cwd/.netrc)`,
      link: `builtins.readFile ./link`,
      tree: `builtins.readFile ((builtins.fetchTree { type = "path"; path = "/proc/self/cwd/"; }) + "/.netrc")`,
      treeFile: `builtins.readFile (builtins.fetchTree { type = "file"; url = "file:///proc/self/cwd/.netrc"; })`,
      treeUrl: `builtins.readFile ((builtins.fetchTree "path:/proc/self/cwd/") + "/.netrc")`,
      treeHome: `builtins.readFile ((builtins.fetchTree { type = "path"; path = builtins.dirOf (builtins.elemAt builtins.nixPath 1).path + "/home"; }) + "/.netrc")`,
      flake: `builtins.readFile ((builtins.getFlake "path:/proc/self/cwd/") + "/.netrc")`,
      built: `builtins.readFile (derivation {
        name = "look"; system = builtins.currentSystem; builder = "/bin/sh";
        args = [ "-c" "cat /tmp/*/home/.netrc /root/.netrc \\$HOME/.netrc > $out; echo nothing >> $out" ];
      })`,
      fetched: `builtins.readFile (derivation {
        name = "fixed"; system = "builtin"; builder = "builtin:fetchurl"; url = "file:///proc/self/cwd/.netrc";
        outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "${'0'.repeat(64)}";
        impureEnvVars = [ "HOME" "NIX_CONFIG" "NIX_USER_CONF_FILES" ];
      })`,
    };
    const attributes = Object.entries(looks).map(
      ([name, look]) =>
        `${name} = d (if builtins.elem (${look}) [ "" "nothing\\n" ] then "nothing" else "something");`,
    );
    const events = await evaluate(`{ ${attributes.join('\n')} }`, access);
    expect(errorsOf(events).length + jobsOf(events).length).toBe(attributes.length);
    // What there is to be seen is nothing, and all else is refused.
    const seen = jobsOf(events).map(({ path, name }) => `${path.join('.')}: ${name}`);
    expect(seen.sort()).toEqual(['built: nothing', 'env: nothing']);
    expect(JSON.stringify(events)).not.toContain(access.token);
  });
});
