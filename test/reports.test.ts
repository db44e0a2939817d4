/**
 * Reports on their way: from rows of finished builds, through planning, the task queue and the App,
 * to what stands on GitHub.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { silentLogger } from '../src/basics/index.ts';
import { createReportTransport, openGitHubApp } from '../src/github/index.ts';
import { startTaskRunner, type TaskRunner } from '../src/postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/postgres/test-database.ts';
import { createReportTasks, requestReport } from '../src/reports/index.ts';
import { type GitHubDouble, startGitHubDouble } from './github-double/index.ts';
import { verdictOn } from './support/verdict.ts';

let github: GitHubDouble;
let database: TestDatabase;
let runner: TaskRunner;
let project: number;

const log = silentLogger();
const idRow = z.object({ id: z.number() });

beforeAll(async () => {
  github = await startGitHubDouble();
  database = await createTestDatabase();
  await github.createRepository({ name: 'acme/rockets' });
  const installation = github.installation('acme').id;
  await insert('installations', { id: installation, account_login: 'acme' });
  project = await insert('projects', {
    github_repository_id: 1,
    installation_id: installation,
    owner: 'acme',
    name: 'rockets',
    default_branch: 'main',
    private: false,
  });
});

beforeEach(async () => {
  // Each story has an hour of its own.
  await database.knex('github_writes').delete();
  await startProgram();
});

afterEach(async () => {
  github.faults.clear();
  await runner.stop();
  expect(github.journal.calls.filter((call) => call.unexpected)).toEqual([]);
});

afterAll(async () => {
  await github.close();
  await database.drop();
});

/** The part of the program that reports; started anew it knows only what the database holds. */
async function startProgram(): Promise<void> {
  const app = await openGitHubApp(
    {
      appId: github.appId,
      privateKey: github.privateKey,
      webhookSecret: 'unused',
      host: github.url.replace('http://', ''),
      protocol: 'http',
    },
    log,
    { callTimeoutMs: 5_000 },
  );
  if (!app) throw new Error('The App was not opened.');
  runner = startTaskRunner({
    database,
    workerId: `reports-${crypto.randomUUID()}`,
    handlers: createReportTasks({
      db: database.knex,
      transport: createReportTransport(app, log),
      log,
      planOptions: () => ({ publicUrl: 'https://ci.example.org', statuses: 'summary' }),
    }),
    pollInterval: 200,
    log,
  });
}

async function insert(table: string, row: Record<string, unknown>): Promise<number> {
  const [inserted]: unknown[] = await database.knex(table).insert(row).returning('id');
  return idRow.parse(inserted).id;
}

/** A pushed commit under evaluation. */
async function newRevision(): Promise<{ sha: string; id: number; evaluation: number }> {
  const { sha } = await github.push({
    repo: 'acme/rockets',
    files: { 'ci.nix': `# ${crypto.randomUUID()}` },
  });
  const id = await insert('revisions', { project_id: project, sha, trust: 'trusted' });
  const evaluation = await insert('evaluations', { revision_id: id, state: 'building', file: 'ci.nix' });
  return { sha, id, evaluation };
}

/** One job with a finished build, its attempt and its log. */
async function newJob(
  evaluation: number,
  path: readonly string[],
  exitCode: number,
  output: string,
): Promise<void> {
  const drv = `/nix/store/${crypto.randomUUID()}-rocket.drv`;
  const build = await insert('builds', {
    drv_path: drv,
    name: 'rocket',
    system: 'x86_64-linux',
    state: exitCode === 0 ? 'succeeded' : 'failed',
    message: exitCode === 0 ? '' : `builder for '${drv}' failed with exit code ${exitCode};`,
    started_at: new Date(Date.now() - 12_000),
    finished_at: new Date(),
  });
  const log = Buffer.from(output);
  const lines = output.split('\n').length - 1;
  const attempt = await insert('attempts', {
    build_id: build,
    builder: 'local',
    state: 'ended',
    status: exitCode === 0 ? 'built' : 'failed',
    log_bytes: log.length,
    log_lines: lines,
    log_complete: true,
  });
  await database.knex('log_chunks').insert({ attempt_id: attempt, position: 0, first_line: 0, bytes: log });
  await database.knex('jobs').insert({
    evaluation_id: evaluation,
    path,
    drv_path: drv,
    system: 'x86_64-linux',
    build_id: build,
  });
}

async function end(
  revision: { id: number; evaluation: number },
  state: 'succeeded' | 'failed',
): Promise<void> {
  await database
    .knex('evaluations')
    .where('id', revision.evaluation)
    .update({ state, finished_at: new Date() });
  await requestReport(database.knex, revision.id);
}

/** With all that the gate stands for; its calls are made in no order. */
const gateEnds = async (sha: string) => (await verdictOn(github, sha)).get('ringmaster');

it('shows a failure with its cause, its log’s end and the way to repeat it, and fails the gate', async () => {
  const revision = await newRevision();
  await newJob(revision.evaluation, ['good'], 0, 'fine\n');
  await newJob(revision.evaluation, ['bad', 'x.y'], 3, '\u001b[31mignition failed\u001b[0m\n');
  await end(revision, 'failed');
  const gate = await gateEnds(revision.sha);
  expect(gate).toMatchObject({ conclusion: 'failure', title: '1 of 2 attributes failed' });
  const bad = github.latestCheckRuns(revision.sha).get('ringmaster / bad."x.y"');
  expect(bad).toMatchObject({
    conclusion: 'failure',
    detailsUrl: `https://ci.example.org/acme/rockets/commit/${revision.sha}/bad.x~2Ey`,
    title: 'Failed with exit code 3',
    summary: expect.stringContaining(`nix-build ci.nix -A 'bad."x.y"'`),
    text: 'Log:\n\n```\nignition failed\n```',
  });
  expect(github.latestCheckRuns(revision.sha).get('ringmaster / good')).toMatchObject({
    conclusion: 'success',
    title: 'Built in 12 s',
    text: 'Log:\n\n```\nfine\n```',
  });
});

it('shows the last 20 lines of a good build’s log, and nothing in them can leave their fence', async () => {
  const revision = await newRevision();
  const hostile = 'line 100 ```` </details> @everybody \u001b[31m\u202e';
  const lines = [...Array.from({ length: 99 }, (_, index) => `line ${index + 1}`), hostile];
  await newJob(revision.evaluation, ['good'], 0, `${lines.join('\n')}\n`);
  await end(revision, 'succeeded');
  await gateEnds(revision.sha);
  const text = github.latestCheckRuns(revision.sha).get('ringmaster / good')?.text ?? '';
  expect(text).toMatch(/^Last 20 of 100 lines of the log:\n\n`````\nline 81\n/);
  expect(text).toMatch(/\nline 100 ```` <\/details> @everybody \n`````$/);
});

it('leaves the logs of good builds to the pages when a commit has more attributes than checks', async () => {
  const revision = await newRevision();
  await newJob(revision.evaluation, ['first'], 0, 'fine\n');
  await requestReport(database.knex, revision.id);
  await github.waitFor(() => github.latestCheckRuns(revision.sha).has('ringmaster / first'));
  for (let index = 0; index < 40; index++) await newJob(revision.evaluation, [`more${index}`], 0, 'fine\n');
  await end(revision, 'succeeded');
  await gateEnds(revision.sha);
  const checks = github.latestCheckRuns(revision.sha);
  // Calls of one round are made at the same time.
  const names = ['ringmaster', 'ringmaster / evaluation', 'ringmaster / first'];
  expect([...checks.keys()].sort()).toEqual(names);
});

it('says on GitHub what the evaluation warned of, and marks the line', async () => {
  const revision = await newRevision();
  const notices = [
    { message: 'nix/ci.nix hides ci.nix' },
    { message: 'evaluation warning: old', file: 'ci.nix', line: 3 },
  ];
  await database
    .knex('evaluations')
    .where('id', revision.evaluation)
    .update({ notices: JSON.stringify(notices) });
  await end(revision, 'succeeded');
  await gateEnds(revision.sha);
  expect(github.latestCheckRuns(revision.sha).get('ringmaster / evaluation')).toMatchObject({
    title: '0 attributes evaluated, 2 notices',
    text: 'ℹ️ `nix/ci.nix hides ci.nix`\n\nℹ️ `evaluation warning: old`',
    annotations: [{ path: 'ci.nix', start_line: 3, message: 'evaluation warning: old' }],
  });
});

it('reports 300 attributes of hostile names and messages within everything GitHub accepts', async () => {
  const revision = await newRevision();
  for (let index = 0; index < 300; index++) {
    await database.knex('jobs').insert({
      evaluation_id: revision.evaluation,
      path: [`${index}`, '`|\n@all ä🎪'.repeat(40)],
      error: 'ä🎪``` <img src=x>\n'.repeat(500),
      error_file: 'ci.nix',
      error_line: index + 1,
      error_column: 3,
    });
  }
  await end(revision, 'failed');
  const gate = await gateEnds(revision.sha);
  expect(gate?.conclusion).toBe('failure');
  await github.waitFor(() => github.latestCheckRuns(revision.sha).size === 42);
  const evaluation = await github.waitFor(() => {
    const run = github.latestCheckRuns(revision.sha).get('ringmaster / evaluation');
    return run && run.annotations.length === 250 && run;
  });
  expect(new Set(evaluation.annotations.map((annotation) => annotation.start_line)).size).toBe(250);
  const refused: unknown[] = await database
    .knex('reports')
    .where('revision_id', revision.id)
    .whereNotNull('last_error');
  expect(refused).toEqual([]);
});

it('makes one gate although the answer to its creation was lost', async () => {
  github.faults.inject({
    kind: 'drop-after',
    method: 'POST',
    path: '/repos/acme/rockets/check-runs',
    times: 1,
  });
  const revision = await newRevision();
  await end(revision, 'succeeded');
  await gateEnds(revision.sha);
  expect(github.checkRuns(revision.sha).filter((run) => run.name === 'ringmaster')).toHaveLength(1);
});

it('reports what happened while GitHub was away, when it is back', async () => {
  const revision = await newRevision();
  await requestReport(database.knex, revision.id);
  await github.waitFor(
    () => github.latestCheckRuns(revision.sha).get('ringmaster')?.status === 'in_progress',
  );
  await github.down();
  await end(revision, 'succeeded');
  // The program ends, too: nothing but the database remembers.
  await runner.stop();
  await startProgram();
  await github.up();
  expect(await gateEnds(revision.sha)).toMatchObject({ conclusion: 'success' });
  expect(
    await github.waitFor(() => github.latestStatuses(revision.sha).get('ringmaster/ci')?.state === 'success'),
  ).toBe(true);
});
