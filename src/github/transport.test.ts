import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type FaultRule, type GitHubDouble, startGitHubDouble } from '../../test/github-double/index.ts';
import { silentLogger } from '../basics/index.ts';
import type { DesiredCheck, DesiredStatus, ReportAddress, ReportTransport } from '../reports/index.ts';
import { type GitHubApp, openGitHubApp } from './app.ts';
import { createGitAccess } from './git-credentials.ts';
import { generatePrivateKey } from './test-private-key.ts';
import { createReportTransport } from './transport.ts';

let github: GitHubDouble;
let app: GitHubApp;
let transport: ReportTransport;
let address: ReportAddress;

beforeAll(async () => {
  github = await startGitHubDouble();
  await github.createRepository({ name: 'acme/rockets', private: true });
  const { sha } = await github.push({ repo: 'acme/rockets', files: { 'ci.nix': '{ }' } });
  address = { installationId: github.installation('acme').id, owner: 'acme', name: 'rockets', sha };
  app = await open(github.privateKey);
  transport = createReportTransport(app, silentLogger());
});
afterEach(() => github.faults.clear());
afterAll(() => github.close());

async function open(privateKey: string, options: { callTimeoutMs?: number } = {}): Promise<GitHubApp> {
  const opened = await openGitHubApp(
    {
      appId: github.appId,
      privateKey,
      webhookSecret: 'unused',
      host: github.url.replace('http://', ''),
      protocol: 'http',
    },
    silentLogger(),
    options,
  );
  if (!opened) throw new Error('The App was not opened.');
  return opened;
}

function check(name: string, more: Partial<DesiredCheck> = {}): DesiredCheck {
  return {
    kind: 'check',
    name,
    status: 'in_progress',
    title: 'Building',
    summary: 'One of two.',
    detailsUrl: 'https://ci.example.org/1',
    annotations: [],
    ...more,
  };
}

const status: DesiredStatus = {
  kind: 'status',
  name: 'ringmaster/ci',
  state: 'pending',
  description: 'Building',
  targetUrl: 'https://ci.example.org/1',
};

const annotation = (line: number) => ({
  path: 'ci.nix',
  startLine: line,
  endLine: line,
  startColumn: 3,
  level: 'failure' as const,
  message: `error ${line}`,
});

async function idOf(result: ReturnType<ReportTransport['createCheck']>): Promise<number> {
  const sent = await result;
  if (sent.kind !== 'sent' || sent.githubId === undefined) throw new Error(JSON.stringify(sent));
  return sent.githubId;
}

describe('a check run', () => {
  test('is created with our id for it, and brought to its end with its annotations', async () => {
    const id = await idOf(
      transport.createCheck(address, check('one', { annotations: [annotation(1)] }), 'r-1'),
    );
    const done = check('one', {
      status: 'completed',
      conclusion: 'failure',
      title: 'Failed',
      text: '```\nno\n```',
      startedAt: '2026-01-01T00:00:00Z',
      completedAt: '2026-01-01T00:01:00Z',
    });
    expect(await transport.updateCheck(address, id, done, [annotation(2)])).toEqual({
      kind: 'sent',
      githubId: id,
    });
    expect(github.latestCheckRuns(address.sha).get('one')).toMatchObject({
      id,
      externalId: 'r-1',
      detailsUrl: 'https://ci.example.org/1',
      status: 'completed',
      conclusion: 'failure',
      title: 'Failed',
      summary: 'One of two.',
      text: '```\nno\n```',
    });
    const notes = github.latestCheckRuns(address.sha).get('one')?.annotations;
    expect(notes?.map(({ message, start_column }) => [message, start_column])).toEqual([
      ['error 1', 3],
      ['error 2', 3],
    ]);
  });

  test('with more annotations than one call may carry is accepted with the first fifty', async () => {
    const many = Array.from({ length: 60 }, (_, index) => annotation(index + 1));
    await idOf(transport.createCheck(address, check('many', { annotations: many }), 'r-2'));
    expect(github.latestCheckRuns(address.sha).get('many')?.annotations).toHaveLength(50);
  });

  test('whose answer got lost is found again by name and id, and only that one', async () => {
    github.faults.inject({ kind: 'drop-after', method: 'POST', path: '/repos/:owner/:repo/check-runs' });
    expect(
      await transport.createCheck(address, check('lost', { annotations: [annotation(1)] }), 'r-3'),
    ).toMatchObject({
      kind: 'later',
      installationWide: false,
    });
    const id = github.latestCheckRuns(address.sha).get('lost')?.id;
    expect(await transport.findCheck(address, 'lost', 'r-3')).toEqual({
      kind: 'sent',
      githubId: id,
      annotationCount: 1,
    });
    expect(await transport.findCheck(address, 'lost', 'r-4')).toMatchObject({ kind: 'gone' });
  });

  test('that is not there any more is gone', async () => {
    expect(await transport.updateCheck(address, 999, check('gone'), [])).toMatchObject({ kind: 'gone' });
  });

  test('of a repository that we may not see is refused', async () => {
    const elsewhere = { ...address, name: 'submarines' };
    expect(await transport.createCheck(elsewhere, check('x'), 'r-5')).toMatchObject({ kind: 'refused' });
  });

  test('that breaks a limit is refused with GitHub’s words', async () => {
    const huge = check('huge', { summary: 'ü'.repeat(65_535) });
    expect(await transport.createCheck(address, huge, 'r-6')).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('422'),
    });
  });
});

test('a status is set', async () => {
  expect(await transport.setStatus(address, status)).toMatchObject({ kind: 'sent' });
  expect(github.latestStatuses(address.sha).get('ringmaster/ci')).toMatchObject({
    state: 'pending',
    description: 'Building',
    targetUrl: 'https://ci.example.org/1',
  });
});

describe('trouble becomes a value', () => {
  const rules: [string, FaultRule, object][] = [
    [
      'a secondary limit',
      { kind: 'secondary-limit', retryAfter: 17 },
      { afterSeconds: 17, installationWide: true },
    ],
    [
      'a secondary limit as 429',
      { kind: 'secondary-limit', retryAfter: 9, status: 429 },
      { afterSeconds: 9, installationWide: true },
    ],
    ['a server error', { kind: 'status', status: 502 }, { afterSeconds: undefined, installationWide: false }],
    ['a cut connection', { kind: 'drop-before' }, { afterSeconds: undefined, installationWide: false }],
  ];
  test.each(rules)('%s means later', async (_, rule, expected) => {
    await transport.setStatus(address, status);
    github.faults.inject(rule);
    expect(await transport.setStatus(address, status)).toMatchObject({ kind: 'later', ...expected });
    expect(await transport.setStatus(address, status)).toMatchObject({ kind: 'sent' });
  });

  test('a spent primary limit pauses the installation until it renews, by GitHub’s clock', async () => {
    github.faults.inject({ kind: 'primary-limit', resetIn: 1200 });
    const result = await transport.setStatus(address, status);
    expect(result).toMatchObject({ kind: 'later', installationWide: true });
    const seconds = result.kind === 'later' ? result.afterSeconds : undefined;
    expect(seconds).toBeGreaterThan(1190);
    expect(seconds).toBeLessThanOrEqual(1201);
  });

  test('an answer that never comes means later', async () => {
    const impatient = createReportTransport(
      await open(github.privateKey, { callTimeoutMs: 300 }),
      silentLogger(),
    );
    await impatient.setStatus(address, status);
    github.faults.inject({ kind: 'hang' });
    expect(await impatient.setStatus(address, status)).toMatchObject({
      kind: 'later',
      installationWide: false,
    });
  });

  test('GitHub being down means later', async () => {
    await github.down();
    try {
      expect(await transport.setStatus(address, status)).toMatchObject({ kind: 'later' });
    } finally {
      await github.up();
    }
    expect(await transport.setStatus(address, status)).toMatchObject({ kind: 'sent' });
  });
});

describe('tokens', () => {
  const minted = () => github.callsTo('POST', '/app/installations/:id/access_tokens').length;

  test('are minted once for many calls, also at the same time, and may only write results', async () => {
    const fresh = createReportTransport(app, silentLogger());
    const before = minted();
    await Promise.all([1, 2, 3].map(() => fresh.setStatus(address, status)));
    expect(minted()).toBe(before + 1);
    expect(github.callsTo('POST', '/app/installations/:id/access_tokens').at(-1)?.body).toEqual({
      permissions: { checks: 'write', statuses: 'write' },
    });
  });

  test('that GitHub does not accept any more are replaced without anybody noticing', async () => {
    github.expireTokens();
    const before = minted();
    const results = await Promise.all([1, 2, 3].map(() => transport.setStatus(address, status)));
    expect(results.map(({ kind }) => kind)).toEqual(['sent', 'sent', 'sent']);
    expect(minted()).toBe(before + 1);
  });

  test('that cannot be had pause the whole installation, and say why', async () => {
    const stranger = await open(generatePrivateKey());
    const result = await createReportTransport(stranger, silentLogger()).setStatus(address, status);
    expect(result).toMatchObject({
      kind: 'later',
      installationWide: true,
      reason: expect.stringContaining('key'),
    });
  });

  test('for an installation that is gone are a refusal', async () => {
    const gone = { ...address, installationId: 12345 };
    expect(await transport.setStatus(gone, status)).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('not installed'),
    });
  });
});

describe('access for git', () => {
  const project = () => ({
    id: 1,
    githubRepositoryId: [...github.world.repositories.keys()][0] ?? 0,
    installationId: address.installationId,
    owner: 'acme',
    name: 'rockets',
    defaultBranch: 'main',
    private: true,
    enabled: true,
  });

  test('is a token for this repository and reading alone, which ends with the access', async () => {
    const access = await createGitAccess(app, silentLogger())(project());
    if (access.kind !== 'ready') throw new Error(access.reason);
    expect(access.source.url).toBe(`${github.url}/acme/rockets.git`);
    expect(github.callsTo('POST', '/app/installations/:id/access_tokens').at(-1)?.body).toEqual({
      permissions: { contents: 'read' },
      repository_ids: [project().githubRepositoryId],
    });
    const token = access.source.credentials?.password ?? '';
    expect(github.world.tokens.has(token)).toBe(true);
    await access.close();
    expect(github.world.tokens.has(token)).toBe(false);
  });

  test('to a repository that the installation does not have fails; while GitHub is down it is for later', async () => {
    const openAccess = createGitAccess(app, silentLogger());
    expect(await openAccess({ ...project(), githubRepositoryId: 1 })).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('acme/rockets'),
    });
    github.faults.inject({ kind: 'status', status: 503, path: '/app/installations/:id/access_tokens' });
    expect(await openAccess(project())).toMatchObject({ kind: 'later' });
  });

  test('does not exist without an App', async () => {
    expect(await createGitAccess(undefined, silentLogger())(project())).toMatchObject({ kind: 'failed' });
  });
});
