import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tryGit } from './git.ts';
import { type GitHubDouble, startGitHubDouble } from './index.ts';
import { token } from './test-client.ts';

let double: GitHubDouble;
let place = '';

beforeAll(async () => {
  double = await startGitHubDouble();
  place = await mkdtemp(join(tmpdir(), 'double-git-'));
  await double.createRepository({ name: 'org/secret', private: true });
  await double.createRepository({ name: 'org/open' });
  await double.push({ repo: 'org/secret', files: { 'ci.nix': '{ }\n' } });
  await double.push({ repo: 'org/open', files: { 'ci.nix': '{ }\n' } });
});

afterAll(async () => {
  await double.close();
  await rm(place, { recursive: true });
});

const basic = (value: string, user = 'x-access-token') =>
  `http.extraHeader=Authorization: Basic ${Buffer.from(`${user}:${value}`).toString('base64')}`;

const tokenFor = async (narrowing?: Record<string, unknown>) =>
  (await token(double, 'org', narrowing)).replace('token ', '');

/** git's words for a 401 that no other credentials can answer. */
const denied = 'could not read Username';

const clone = (repo: string, to: string, ...config: string[]) =>
  tryGit(place, [...config.flatMap((one) => ['-c', one]), 'clone', '--quiet', double.cloneUrl(repo), to]);

test('a public repository is cloned by anybody, with main checked out', async () => {
  expect((await clone('org/open', 'open')).stderr).toBe('');
  expect(await readFile(join(place, 'open/ci.nix'), 'utf8')).toBe('{ }\n');
});

test('a private repository is cloned only with a live token that may read its contents', async () => {
  const good = await tokenFor({ repositories: ['secret'], permissions: { contents: 'read' } });
  expect((await clone('org/secret', 'secret', basic(good))).exitCode).toBe(0);

  const otherRepository = await tokenFor({ repositories: ['open'] });
  const otherPermission = await tokenFor({ permissions: { checks: 'write' } });
  const refused: [string, string[], string][] = [
    ['nobody', [], denied],
    ['a stale token', [basic('ghs_gone')], denied],
    ['another user name', [basic(good, 'alice')], denied],
    ['a token of another repository', [basic(otherRepository)], 'not found'],
    ['a token without contents', [basic(otherPermission)], '403'],
  ];
  for (const [who, config, complaint] of refused) {
    const result = await clone('org/secret', 'never', ...config);
    expect(result.exitCode, who).not.toBe(0);
    expect(result.stderr, who).toContain(complaint);
  }
  double.expireTokens();
  expect((await clone('org/secret', 'never', basic(good))).stderr).toContain(denied);
});

test('a token in the address works, for clients that ask without it first', async () => {
  const address = double.cloneUrl('org/secret').replace('//', `//x-access-token:${await tokenFor()}@`);
  expect((await tryGit(place, ['ls-remote', address])).stdout).toContain('refs/heads/main');
});

test('bad credentials are refused even where none are needed', async () => {
  expect((await clone('org/open', 'never', basic('ghs_gone'))).stderr).toContain(denied);
});

test('a commit no branch shows any more can still be fetched by its sha', async () => {
  const old = await double.push({ repo: 'org/open', branch: 'rebased', files: { a: '1' } });
  await double.push({ repo: 'org/open', branch: 'rebased', from: 'main', force: true, files: { a: '2' } });
  const fetched = await tryGit(join(place, 'open'), ['fetch', '--quiet', '--depth=1', 'origin', old.sha]);
  expect(fetched.stderr).toBe('');
});

test('the head of a pull request from a fork is fetched from the base repository', async () => {
  const opened = await double.openPullRequest({
    repo: 'org/open',
    head: 'theirs',
    fork: 'eve',
    files: { 'ci.nix': '{ evil = 1; }\n' },
  });
  const ref = `refs/pull/${opened.number}/head`;
  await tryGit(join(place, 'open'), ['fetch', '--quiet', 'origin', `${ref}:theirs`]);
  const head = await tryGit(join(place, 'open'), ['rev-parse', 'theirs']);
  expect(head.stdout.trim()).toBe(opened.headSha);
  const merge = await tryGit(join(place, 'open'), [
    'ls-remote',
    'origin',
    `refs/pull/${opened.number}/merge`,
  ]);
  expect(merge.stdout).toContain(String(opened.pull.mergeCommitSha));
});

test('a push over HTTP needs the right to write, and makes GitHub tell the App', async () => {
  const work = join(place, 'open');
  await writeFile(join(work, 'new.nix'), '1\n');
  const commit = [
    '-c',
    'user.name=alice',
    '-c',
    'user.email=alice@example.org',
    'commit',
    '--quiet',
    '-m',
    'New',
  ];
  await tryGit(work, ['add', 'new.nix']);
  expect((await tryGit(work, commit)).stderr).toBe('');
  const head = await tryGit(work, ['rev-parse', 'HEAD']);
  const push = (value: string) =>
    tryGit(work, ['-c', basic(value), 'push', '--quiet', 'origin', 'HEAD:main']);
  expect((await push(await tokenFor())).stderr).toContain('403');
  expect((await push(double.adminToken)).exitCode).toBe(0);
  const sent = await double.waitFor(() =>
    double.webhooks.deliveries.find(
      ({ event, payload }) => event === 'push' && payload.after === head.stdout.trim(),
    ),
  );
  expect(sent.payload).toMatchObject({
    ref: 'refs/heads/main',
    commits: [{ message: 'New', added: ['new.nix'] }],
  });
});

test('git traffic is journalled with the scope of its token, and never the token', async () => {
  const calls = double.callsTo('POST', '/:owner/:repo/git-upload-pack');
  expect(calls.some((call) => call.path === '/org/secret.git/git-upload-pack')).toBe(true);
  expect(calls.some((call) => call.auth.kind === 'installation' && call.status === 200)).toBe(true);
  expect(JSON.stringify(double.journal.calls)).not.toMatch(/ghs_[A-Za-z0-9]{20}/);
});
