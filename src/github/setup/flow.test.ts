import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from '../../../test/github-double/index.ts';
import { silentLogger } from '../../basics/index.ts';
import { neededEvents, neededPermissions } from '../inspect.ts';
import { createSetupFlow, type SetupFlow } from './flow.ts';
import { readStoredApp, withStoredApp } from './stored-app.ts';

let double: GitHubDouble;
let dataDir: string;
let flow: SetupFlow;
let created = 0;
let clock = Date.now();

beforeAll(async () => {
  double = await startGitHubDouble();
});
afterAll(() => double.close());
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'ringmaster-setup-'));
  created = 0;
  clock = Date.now();
  flow = createSetupFlow({
    dataDir,
    host: new URL(double.url).host,
    protocol: 'http',
    log: silentLogger(),
    onCreated: () => {
      created += 1;
    },
    now: () => clock,
  });
  return () => rm(dataDir, { recursive: true });
});

const wishes = { publicUrl: 'https://ci.example.org/', organization: '' };

/** What a browser does: posts the manifest, is sent back. */
async function visitGitHub({ action, manifest }: { action: string; manifest: string }): Promise<URL> {
  const sent = await fetch(action, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({ manifest }),
  });
  return new URL(sent.headers.get('location') ?? '');
}

const answerOf = (back: URL) => ({
  code: back.searchParams.get('code') ?? '',
  state: back.searchParams.get('state') ?? '',
});

test('an App with exactly what is needed is made, and its key is for this user alone', async () => {
  const back = await visitGitHub(flow.begin(wishes));
  expect(back.href).toMatch(/^https:\/\/ci\.example\.org\/setup\/callback\?/);
  expect(double.browser.manifest).toMatchObject({
    hook_attributes: { url: 'https://ci.example.org/api/github/webhooks', active: true },
    public: false,
    default_permissions: neededPermissions,
    default_events: [...neededEvents],
  });
  expect(await flow.finish(answerOf(back))).toMatchObject({ appId: String(double.appId) });
  expect(created).toBe(1);
  const file = join(dataDir, 'github-app.json');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readFile(file, 'utf8')).toContain('PRIVATE KEY');
  expect(await withStoredApp({}, dataDir)).toMatchObject({
    appId: String(double.appId),
    webhookSecret: double.webhookSecret,
  });
});

test('an organization owns it where one is named', () => {
  expect(flow.begin({ ...wishes, organization: 'acme' }).action).toContain(
    '/organizations/acme/settings/apps/new',
  );
});

test('only the token of this start is admitted, and none when the App is there', async () => {
  expect(flow.admits(flow.token)).toBe(true);
  for (const wrong of ['', 'x', `${flow.token}x`, flow.token.slice(1)])
    expect(flow.admits(wrong)).toBe(false);
  await flow.finish(answerOf(await visitGitHub(flow.begin(wishes))));
  expect(flow.admits(flow.token)).toBe(false);
});

test('an answer of GitHub counts once, in time, and only with the state it was sent with', async () => {
  const answer = answerOf(await visitGitHub(flow.begin(wishes)));
  await expect(flow.finish({ ...answer, state: 'guessed' })).rejects.toThrow(/no set-up that is under way/);
  const late = answerOf(await visitGitHub(flow.begin(wishes)));
  clock += 61 * 60_000;
  await expect(flow.finish(late)).rejects.toThrow(/no set-up that is under way/);
  clock -= 61 * 60_000;
  await flow.finish(answer);
  await expect(flow.finish(answer)).rejects.toThrow(/no set-up that is under way/);
  expect(created).toBe(1);
});

test('a code that GitHub does not know leads to words, and to no file', async () => {
  const { state } = answerOf(await visitGitHub(flow.begin(wishes)));
  await expect(flow.finish({ code: 'stale', state })).rejects.toThrow(/GitHub answered 404.*Begin again/);
  expect(await readStoredApp(dataDir)).toBeUndefined();
});

test.each([
  'ftp://ci.example.org',
  'javascript:alert(1)',
  'ci.example.org',
  'https://user:pass@ci.example.org',
  '',
])('an address that cannot work is refused: %s', (publicUrl) => {
  expect(() => flow.begin({ publicUrl, organization: '' })).toThrow(/is not an http or https address/);
});

test('a name that could lead elsewhere is no organization', () => {
  expect(() => flow.begin({ ...wishes, organization: '../x' })).toThrow(/not the name of an organization/);
});

test('credentials that were configured count before those that were stored; a damaged file is told', async () => {
  await writeFile(join(dataDir, 'github-app.json'), '{');
  await expect(withStoredApp({}, dataDir)).rejects.toThrow(/does not hold the credentials/);
  expect(await withStoredApp({ appId: 1, privateKey: 'k' }, dataDir)).toEqual({ appId: 1, privateKey: 'k' });
});
