import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { type DoubleOptions, type GitHubDouble, startGitHubDouble } from '../../test/github-double/index.ts';
import { silentLogger } from '../basics/index.ts';
import { type GitHubApp, openGitHubApp } from './app.ts';
import { inspectGitHubApp, neededEvents, neededPermissions } from './inspect.ts';
import { generatePrivateKey } from './test-private-key.ts';

const doubles: GitHubDouble[] = [];
afterEach(() => Promise.all(doubles.splice(0).map((double) => double.close())));

async function appOf(options: DoubleOptions, privateKey?: string): Promise<GitHubApp> {
  const github = await startGitHubDouble(options);
  doubles.push(github);
  const settings = {
    appId: github.appId,
    privateKey: privateKey ?? github.privateKey,
    webhookSecret: 'unused',
    host: github.environment().GHE_HOST,
    protocol: 'http',
  };
  const app = await openGitHubApp(settings, silentLogger());
  if (!app) throw new Error('The App was not opened.');
  return app;
}

test('an App with what Ringmaster needs, or more, has no problems', async () => {
  const app = await appOf({
    permissions: { ...neededPermissions, issues: 'write' },
    events: [...neededEvents, 'fork'],
  });
  expect(await inspectGitHubApp(app)).toMatchObject({ kind: 'known', name: 'Ringmaster', problems: [] });
});

test('an App that lacks something says each thing', async () => {
  const app = await appOf({
    permissions: { ...neededPermissions, checks: 'read' },
    events: ['push', 'repository'],
  });
  expect(await inspectGitHubApp(app)).toMatchObject({
    problems: [
      "The App needs the permission 'checks: write'.",
      "The App has to subscribe to the event 'issue_comment'.",
      "The App has to subscribe to the event 'merge_group'.",
      "The App has to subscribe to the event 'pull_request'.",
    ],
  });
});

test('a key of another App is found out', async () => {
  const app = await appOf({}, generatePrivateKey());
  expect(await inspectGitHubApp(app)).toMatchObject({ kind: 'failed', failure: { kind: 'unauthorized' } });
});

test('app.yml asks for exactly this', () => {
  const manifest = readFileSync(new URL('../../app.yml', import.meta.url), 'utf8');
  const events = [...manifest.matchAll(/^ {2}- (\w+)$/gm)].map(([, name]) => name);
  const permissions = [...manifest.matchAll(/^ {2}(\w+): (read|write)$/gm)].map(([, name, level]) => [
    name,
    level,
  ]);
  expect(events.sort()).toEqual([...neededEvents]);
  expect(Object.fromEntries(permissions)).toEqual(neededPermissions);
});
