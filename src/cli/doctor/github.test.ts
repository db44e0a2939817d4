/** What the doctor says of the GitHub App, asked of a double of GitHub. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type DoubleOptions,
  type GitHubDouble,
  startGitHubDouble,
} from '../../../test/github-double/index.ts';
import { loadConfig } from '../../basics/config/index.ts';
import { silentLogger } from '../../basics/index.ts';
import { checkGithub } from './github.ts';

let dataDir: string;
const doubles: GitHubDouble[] = [];
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'ringmaster-doctor-'));
});
afterEach(() => Promise.all(doubles.splice(0).map((double) => double.close())));
afterAll(() => rm(dataDir, { recursive: true, force: true }));

const webhookUrl = 'https://ci.example.org/api/github/webhooks';

async function diagnose(options: DoubleOptions, env: Readonly<Record<string, string>> = {}) {
  const double = await startGitHubDouble({ webhookUrl, ...options });
  doubles.push(double);
  return diagnoseWith({ ...double.environment(), ...env });
}

async function diagnoseWith(env: Readonly<Record<string, string>>) {
  const { config } = await loadConfig({
    env: { RINGMASTER_DATA_DIR: dataDir, ...env },
    workingDirectory: dataDir,
    flags: [],
  });
  return checkGithub(config, silentLogger());
}

test('an App that will do is good in all respects', async () => {
  const env = { RINGMASTER_SERVER_PUBLIC_URL: 'https://ci.example.org' };
  expect(await diagnose({}, env)).toMatchObject([
    { name: 'github', status: 'good', found: expect.stringMatching(/^App \d+ on .*, Ringmaster$/) },
    { name: 'github app', status: 'good' },
    { name: 'github webhook', status: 'good', found: `GitHub sends messages to ${webhookUrl}` },
  ]);
});

test('each permission and event that is missing has a line, with the place where it is changed', async () => {
  const checks = await diagnose({ permissions: { metadata: 'read', checks: 'read' }, events: ['push'] });
  const bad = checks.filter(({ status }) => status === 'missing');
  expect(bad.map(({ found }) => found)).toEqual(
    expect.arrayContaining([
      "The App needs the permission 'checks: write'.",
      "The App needs the permission 'statuses: write'.",
      "The App has to subscribe to the event 'pull_request'.",
    ]),
  );
  expect(bad[0]?.advice).toMatch(/Permissions & events/);
});

test('a webhook that goes elsewhere, or to no place of this server, is found out', async () => {
  const env = { RINGMASTER_SERVER_PUBLIC_URL: 'https://new.example.org' };
  expect((await diagnose({}, env)).at(-1)).toMatchObject({
    name: 'github webhook',
    status: 'attention',
    advice: expect.stringContaining('https://new.example.org/api/github/webhooks'),
  });
  const wrong = await diagnose({ webhookUrl: 'https://ci.example.org/' });
  expect(wrong.at(-1)).toMatchObject({ status: 'missing', advice: expect.stringContaining('must end in') });
});

test('a key that GitHub does not accept, and no answer at all, are told apart', async () => {
  const [double, other] = await Promise.all([startGitHubDouble({}), startGitHubDouble({})]);
  doubles.push(double, other);
  const env = double.environment();
  const { PRIVATE_KEY_PATH, PRIVATE_KEY, ...rest } = env;
  const foreign = { ...rest, PRIVATE_KEY: other.privateKey };
  expect(await diagnoseWith(foreign)).toMatchObject([
    { name: 'github', status: 'missing', advice: expect.stringContaining('not one of this App') },
  ]);
  await double.down();
  expect(await diagnoseWith(env)).toMatchObject([{ name: 'github', status: 'attention' }]);
  expect(await diagnoseWith({ ...env, APP_ID: '' })).toMatchObject([
    { status: 'missing', found: expect.stringContaining('APP_ID') },
  ]);
  expect(await diagnoseWith({})).toMatchObject([{ status: 'attention', found: 'no App yet' }]);
});
