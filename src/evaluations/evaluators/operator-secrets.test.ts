/** What code under evaluation can learn of what the operator's Nix fetches with. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../basics/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../nix/test-nix.ts';
import { createEvaluator, type Evaluator } from './create-evaluator.ts';
import { netrcSecrets } from './netrc.ts';
import { operatorSecrets } from './operator-secrets.ts';
import {
  errorsOf,
  evaluateAll,
  jobsOf,
  makeTestFolder,
  type TestFolder,
  writeCheckout,
} from './test-evaluation.ts';

const secrets = ['ghp_operators0wn', 'included-token', 'user-token', 'variable-token', 'netrc-password'];

let folder: TestFolder;
let conf: string;
let settings: Record<string, string>;

beforeAll(async () => {
  folder = await makeTestFolder();
  conf = join(folder.path, 'conf');
  const files = {
    'nix.conf':
      'access-tokens = github.com=ghp_operators0wn # mine\n!include more.conf\n!include none.conf\n',
    'more.conf': 'system = riscv64-linux\nextra-access-tokens = a.example=included-token b.example=short\n',
    'user.conf': 'access-tokens = c.example=user-token\n',
    netrc: 'machine d.example login me password netrc-password\n',
    innocent: 'nothing to hide\n',
  };
  await mkdir(conf);
  for (const [name, text] of Object.entries(files)) await writeFile(join(conf, name), text);
  settings = { NIX_CONF_DIR: conf, NIX_USER_CONF_FILES: `${conf}/user.conf:${conf}/none.conf` };
});
afterAll(() => folder.remove());

test('secrets are found in all files that Nix reads, and in its variable', () => {
  const env = { ...settings, NIX_CONFIG: 'access-tokens = e.example=variable-token' };
  expect(operatorSecrets(env)).toEqual(secrets);
});

test.each([
  [
    'a kind before the token',
    'a.example=PAT:long-token b.example=OAuth2:other-token',
    ['long-token', 'other-token'],
  ],
  ['line ends of Windows', 'a.example=long-token b.example=other-token\r', ['long-token', 'other-token']],
])('tokens are found with %s', (_, tokens, expected) => {
  expect(operatorSecrets({ NIX_CONF_DIR: '/nowhere', NIX_CONFIG: `access-tokens = ${tokens}` })).toEqual(
    expect.arrayContaining(expected),
  );
});

test('secrets are found in what the variable includes, comments or not, and in addresses', () => {
  const lines = [`include ${conf}/user.conf# mine`, 'substituters = https://me:cache-password@c.example/x'];
  const env = { NIX_CONF_DIR: '/nowhere', NIX_CONFIG: lines.join('\n') };
  expect(operatorSecrets(env)).toEqual(['user-token', 'cache-password']);
});

test.each([
  ['in quotes', 'machine a password "two words \\"more\\""', ['two words \\"more\\"', 'two words "more"']],
  ['with a quote inside', 'machine a password long"password', ['long"password']],
  ['on a line of its own', 'machine a\nlogin me\npassword\n  long-password\n', ['long-password']],
  [
    'of more than one machine a line',
    'machine a password first-one machine b password second-one',
    ['first-one', 'second-one'],
  ],
  ['beside a name like a keyword', 'machine a login password password long-password', ['long-password']],
  [
    'behind a macro',
    'macdef init\nsay password whatever\n\nmachine a password long-password',
    ['long-password'],
  ],
  [
    'beside comments',
    '# the password whatever\nmachine a password #long-password # password whatever',
    ['#long-password'],
  ],
  ['that are names', 'machine a login ghp_long-token password x-oauth-basic', ['ghp_long-token']],
])('passwords of a netrc file are found %s', (_, text, expected) => {
  expect([...new Set(netrcSecrets(text))]).toEqual(expected);
});

describe.each(nixesUnderTest)('with $name', (under) => {
  let testNix: TestNix;
  let evaluator: Evaluator;

  beforeAll(async () => {
    testNix = await openTestNix(under);
    evaluator = await createEvaluator({
      nix: { env: { ...testNix.nix.environment, ...settings }, store: testNix.nix.layout },
      log: silentLogger(),
      jail: 'required',
      prefer: 'built-in',
    });
  });
  afterAll(() => testNix.close());

  test('the settings hold for trusted code, which can copy no file that holds a secret', async () => {
    const inFolder = `builtins.fetchTree { type = "path"; path = "${conf}"; }`;
    const looks: Record<string, string> = {
      tree: `(${inFolder}) + "/nix.conf"`,
      netrc: `builtins.fetchTree { type = "path"; path = "${conf}/netrc"; }`,
      user: `builtins.fetchTree "path:${conf}/user.conf"`,
      flake: `(builtins.getFlake "path:${conf}") + "/nix.conf"`,
      read: `${conf}/nix.conf`,
      path: `builtins.path { name = "conf"; path = ${conf}; }`,
    };
    const attributes = Object.entries(looks).map(
      ([name, look]) => `${name} = d "n\${builtins.hashString "md5" (builtins.readFile (${look}))}";`,
    );
    const ciNix = `{ setting = d builtins.currentSystem; ${attributes.join('\n')} }`;
    const events = await evaluateAll(evaluator, await writeCheckout(folder.path, ciNix));
    expect(jobsOf(events).map(({ path, name }) => [path, name])).toEqual([[['setting'], 'riscv64-linux']]);
    expect(errorsOf(events).map(({ path }) => path.join('.'))).toEqual(Object.keys(looks).sort());
    for (const secret of secrets) expect(JSON.stringify(events)).not.toContain(secret);
    // Nor is one left in the store, where another evaluation might find it.
    const root = testNix.nix.layout.realStoreDir;
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      const text = entry.isFile() ? await readFile(join(entry.parentPath, entry.name), 'utf8') : '';
      expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
    }
  });
});
