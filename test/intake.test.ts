/**
 * The way in, whole: GitHub delivers, the delivery is stored and worked off, and the commit that it
 * names can be checked out.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fastify, { type FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { runProcess, silentLogger } from '../src/basics/index.ts';
import { createSubmitRevision } from '../src/evaluations/index.ts';
import {
  createDeliveryProcessor,
  createGitAccess,
  type GitHubApp,
  openGitHubApp,
  processDeliveryTask,
  webhooks,
  webhooksPath,
} from '../src/github/index.ts';
import { newTaskWorkerId, startTaskRunner, type TaskRunner } from '../src/postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/postgres/test-database.ts';
import { type Checkouts, createCheckouts, findProjectByName, type Project } from '../src/projects/index.ts';
import { type Delivery, type GitHubDouble, startGitHubDouble } from './github-double/index.ts';

const log = silentLogger();
const environment = { PATH: process.env.PATH ?? '' };
let github: GitHubDouble;
let database: TestDatabase;
let app: GitHubApp;
let server: FastifyInstance;
let tasks: TaskRunner;
let dataDir: string;
let checkouts: Checkouts;
/** Called by the worker after each try of a delivery. */
const onWorked = new Set<() => void>();
/** What goes wrong in the pipeline behind, if anything. */
let trouble: Error | undefined;

beforeAll(async () => {
  github = await startGitHubDouble();
  database = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'ringmaster-intake-'));
  const settings = {
    appId: github.appId,
    privateKey: github.privateKey,
    webhookSecret: github.webhookSecret,
    host: github.environment().GHE_HOST,
    protocol: 'http',
  };
  const opened = await openGitHubApp(settings, log);
  if (!opened) throw new Error('The App was not opened.');
  app = opened;
  server = fastify();
  server.register(webhooks({ db: database.knex, app, missing: [], log }));
  github.setWebhookUrl(`${await server.listen({ port: 0, host: '127.0.0.1' })}${webhooksPath}`);
  tasks = startTaskRunner({
    database,
    workerId: newTaskWorkerId(),
    log,
    handlers: { [processDeliveryTask]: work },
  });
  checkouts = createCheckouts({ dataDir, environment, log, openAccess: createGitAccess(app, log) });
});
afterEach(() => {
  trouble = undefined;
});
afterAll(async () => {
  await tasks.stop();
  await server.close();
  await github.close();
  await database.drop();
  await rm(dataDir, { recursive: true });
});

async function work(payload: unknown): Promise<void> {
  const submit = createSubmitRevision(async () => {
    if (trouble) throw trouble;
  });
  try {
    await createDeliveryProcessor({
      db: database.knex,
      log,
      submit,
      onRevisionChanged: async () => {},
      questions: undefined,
      appId: undefined,
      commandWord: '/ci',
    })(payload);
  } finally {
    for (const look of [...onWorked]) look();
  }
}

interface Row {
  readonly outcome: string | null;
  readonly error: string | null;
}

/** Waits until a delivery has an outcome, or, for those that must fail, an error. */
async function becomes(guid: string, column: 'outcome' | 'error' = 'outcome'): Promise<string> {
  for (;;) {
    const worked = new Promise<void>((resolve) => {
      const look = () => {
        onWorked.delete(look);
        resolve();
      };
      onWorked.add(look);
    });
    const row: Row | undefined = await database.knex('deliveries').where({ id: guid }).first();
    const words = row?.[column];
    if (words) return words;
    await worked;
  }
}

function only(deliveries: readonly (Delivery | undefined)[], event: string): Delivery {
  const found = deliveries.find((delivery) => delivery?.event === event);
  if (!found) throw new Error(`no delivery of '${event}'`);
  return found;
}

async function projectNamed(name: string): Promise<Project> {
  const project = await findProjectByName(database.knex, 'acme', name);
  if (!project) throw new Error(`no project '${name}'`);
  return project;
}

const evaluationsOf = (sha: string) =>
  database
    .knex('evaluations')
    .join('revisions', 'revisions.id', 'evaluations.revision_id')
    .where('revisions.sha', sha);

describe('a push', () => {
  test('is accepted, becomes one evaluation, and its commit can be checked out', async () => {
    await github.createRepository({ name: 'acme/private', private: true });
    const { sha, ref, deliveries } = await github.push({
      repo: 'acme/private',
      files: { 'ci.nix': '"private"', 'lib/a.nix': '1' },
      message: 'Start',
    });
    const push = only(deliveries, 'push');
    expect(push.statusCode).toBe(202);
    expect(await becomes(push.guid)).toMatch(/^Queued evaluation \d+: acme\/private, branch main/);
    expect(await evaluationsOf(sha)).toHaveLength(1);

    const project = await projectNamed('private');
    const result = await checkouts.checkout({ project, sha, gitRef: ref });
    if (result.kind !== 'ready') throw new Error(result.reason);
    expect(await readFile(join(result.checkout.path, 'lib/a.nix'), 'utf8')).toBe('1');
    expect(existsSync(join(result.checkout.path, '.git'))).toBe(false);
    expect(result.checkout.title).toBe('Start');
    await result.checkout.release();
    expect(await readdir(join(dataDir, 'checkouts'))).toEqual([]);
    // The token was for this repository alone, is written nowhere, and was given back.
    const [minted] = github.callsTo('POST', '/app/installations/:id/access_tokens').slice(-1);
    expect(minted?.body).toEqual({
      permissions: { contents: 'read' },
      repository_ids: [project.githubRepositoryId],
    });
    expect(github.callsTo('DELETE', '/installation/token')).toHaveLength(1);
    expect(
      (await runProcess('grep', ['-rE', 'ghs_|x-access-token', dataDir], { env: environment })).exitCode,
    ).toBe(1);
  });

  test('and the pull request from the same branch are one evaluation', async () => {
    await github.createRepository({ name: 'acme/both' });
    await github.push({ repo: 'acme/both', files: { 'ci.nix': '"both"' } });
    const pushed = await github.push({ repo: 'acme/both', branch: 'topic', files: { a: 'both 1' } });
    const pull = await github.openPullRequest({ repo: 'acme/both', head: 'topic' });
    await becomes(only(pushed.deliveries, 'push').guid);
    expect(await becomes(only([pull.delivery], 'pull_request').guid)).toContain('has it already');
    expect(pull.headSha).toBe(pushed.sha);
    expect(await evaluationsOf(pushed.sha)).toHaveLength(1);
  });

  test('whose processing failed is processed when GitHub delivers it again, once', async () => {
    await github.createRepository({ name: 'acme/again' });
    trouble = new Error('the disk is full');
    const { sha, deliveries } = await github.push({ repo: 'acme/again', files: { 'ci.nix': '"again"' } });
    const push = only(deliveries, 'push');
    expect(await becomes(push.guid, 'error')).toBe('the disk is full');
    expect(await evaluationsOf(sha)).toHaveLength(0);
    expect(await findProjectByName(database.knex, 'acme', 'again')).toBeUndefined();
    trouble = undefined;
    expect((await github.webhooks.redeliver(push.id)).statusCode).toBe(202);
    expect(await becomes(push.guid)).toMatch(/^Queued/);
    expect(await github.webhooks.redeliver(push.id)).toMatchObject({
      statusCode: 202,
      response: expect.stringContaining('before'),
    });
    expect(await evaluationsOf(sha)).toHaveLength(1);
  });
});

describe('a pull request from a fork', () => {
  test('waits for approval, names the fork, and its commit can be fetched', async () => {
    await github.createRepository({ name: 'acme/open' });
    await github.push({ repo: 'acme/open', files: { 'ci.nix': '"open"' } });
    const { number, headSha, delivery } = await github.openPullRequest({
      repo: 'acme/open',
      head: 'topic',
      fork: 'mallory',
      files: { 'ci.nix': '{ evil = true; }' },
    });
    expect(await becomes(only([delivery], 'pull_request').guid)).toMatch(/^Waits for approval/);
    expect(await evaluationsOf(headSha)).toHaveLength(0);
    expect(await database.knex('revisions').where({ sha: headSha }).first()).toMatchObject({
      trust: 'needs-approval',
      trust_reason: 'The pull request comes from the fork mallory/open.',
    });
    const project = await projectNamed('open');
    const result = await checkouts.checkout({ project, sha: headSha, gitRef: `refs/pull/${number}/head` });
    expect(result.kind).toBe('ready');
    if (result.kind === 'ready') await result.checkout.release();
  });

  test('is trusted once somebody pushes its commit to a branch of the repository', async () => {
    await github.createRepository({ name: 'acme/adopt' });
    await github.push({ repo: 'acme/adopt', files: { 'ci.nix': '"adopt"' } });
    const { headSha, delivery } = await github.openPullRequest({
      repo: 'acme/adopt',
      head: 'topic',
      fork: 'mallory',
      files: { a: 'adopt 1' },
    });
    await becomes(only([delivery], 'pull_request').guid);
    const { directory } = [...github.world.repositories.values()].find(
      ({ name, parent }) => name === 'adopt' && !parent,
    ) ?? {
      directory: '',
    };
    await runProcess('git', ['update-ref', 'refs/heads/adopted', headSha], {
      cwd: directory,
      env: environment,
    });
    expect(await becomes(only(await github.announce('acme/adopt'), 'push').guid)).toMatch(/^Queued/);
    expect(await evaluationsOf(headSha)).toHaveLength(1);
  });
});

describe('a repository', () => {
  test('keeps its project through a rename, also for git', async () => {
    await github.createRepository({ name: 'acme/before', private: true });
    const first = await github.push({ repo: 'acme/before', files: { 'ci.nix': '"before"' } });
    await becomes(only(first.deliveries, 'push').guid);
    const { id } = await projectNamed('before');
    const renamed = await github.gestures.rename('acme/before', 'after');
    expect(await becomes(renamed?.guid ?? '')).toBe('Noted: acme/after was renamed.');
    const project = await projectNamed('after');
    expect(project.id).toBe(id);
    const { sha, ref } = await github.push({ repo: 'acme/after', files: { a: 'after 2' } });
    const result = await checkouts.checkout({ project, sha, gitRef: ref });
    expect(result.kind).toBe('ready');
    if (result.kind === 'ready') await result.checkout.release();
  });

  test('that is taken from the App rests, and says so for git', async () => {
    await github.createRepository({ name: 'acme/taken', private: true });
    const { sha, ref, deliveries } = await github.push({
      repo: 'acme/taken',
      files: { 'ci.nix': '"taken"' },
    });
    await becomes(only(deliveries, 'push').guid);
    await becomes((await github.gestures.selectRepository('acme/taken', false)).guid);
    const project = await projectNamed('taken');
    expect(project.enabled).toBe(false);
    expect(await checkouts.checkout({ project, sha, gitRef: ref })).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('may not read acme/taken'),
    });
  });
});

describe('a suspended installation', () => {
  test('lets the checkout wait until the suspension ends', async () => {
    await github.createRepository({ name: 'acme/paused', private: true });
    const { sha, ref, deliveries } = await github.push({ repo: 'acme/paused', files: { 'ci.nix': '1' } });
    await becomes(only(deliveries, 'push').guid);
    const project = await projectNamed('paused');
    await github.gestures.suspend('acme');
    expect(await checkouts.checkout({ project, sha, gitRef: ref })).toEqual({
      kind: 'later',
      reason: "The App's installation on acme is suspended.",
    });
    await github.gestures.unsuspend('acme');
    const result = await checkouts.checkout({ project, sha, gitRef: ref });
    expect(result.kind).toBe('ready');
    if (result.kind === 'ready') await result.checkout.release();
  });
});

describe('a git server that gives no single commits', () => {
  test('is asked for the branch, and a commit that the branch has left behind is found in it', async () => {
    await github.createRepository({ name: 'acme/plain' });
    const old = await github.push({ repo: 'acme/plain', files: { 'ci.nix': '1' } });
    await github.push({ repo: 'acme/plain', files: { 'ci.nix': '2' } });
    const { directory } = [...github.world.repositories.values()].find(({ name }) => name === 'plain') ?? {
      directory: '',
    };
    await runProcess('git', ['config', 'uploadpack.allowAnySHA1InWant', 'false'], {
      cwd: directory,
      env: environment,
    });
    // Git's newer protocol always gives them; without its header the older one is spoken.
    const proxy = createServer(async (request, response) => {
      const body = await text(request);
      const answer = await fetch(`${github.url}${request.url}`, {
        method: request.method ?? 'GET',
        headers: { 'content-type': request.headers['content-type'] ?? '' },
        ...(body === '' ? {} : { body }),
      });
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
    await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
    const address = proxy.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const plain = createCheckouts({
      dataDir: join(dataDir, 'plain'),
      environment,
      log,
      openAccess: async () => ({
        kind: 'ready',
        source: { url: `http://127.0.0.1:${port}/acme/plain.git`, credentials: undefined },
        close: async () => {},
      }),
    });
    const project = await projectNamed('both');
    const result = await plain.checkout({ project, sha: old.sha, gitRef: 'refs/heads/main' });
    proxy.close();
    if (result.kind !== 'ready') throw new Error(result.reason);
    expect(await readFile(join(result.checkout.path, 'ci.nix'), 'utf8')).toBe('1');
  });
});
