import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { bumpPriority, completeAttempt, enqueueBuilds } from '../builds/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { cancelBuild, cancelEvaluations, supersedeEvaluations } from './cancel.ts';
import { settleAfterBuilds } from './settle.ts';

const system = 'x86_64-linux';
let database: TestDatabase;
let projectId: number;
/** Revisions whose change was told, as they were told. */
let told: number[] = [];
const options = {
  why: 'Asked for by a test.',
  onRevisionChanged: async (_trx: unknown, revisionId: number) => void told.push(revisionId),
};

beforeAll(async () => {
  database = await createTestDatabase();
  const { knex } = database;
  await knex('installations').insert({ id: 1, account_login: 'acme' });
  [{ id: projectId }] = await knex('projects')
    .insert({
      github_repository_id: 1,
      installation_id: 1,
      owner: 'acme',
      name: 'app',
      default_branch: 'main',
      private: false,
    })
    .returning('id');
  await knex('builders').insert({ name: 'here', kind: 'local', systems: [system], slots: 9 });
});
beforeEach(async () => {
  await database.knex.raw('TRUNCATE revisions, evaluations, jobs, builds, attempts, build_inputs CASCADE');
  told = [];
});
afterAll(() => database?.drop());

test('a cancelled evaluation ends at once, and what others need goes on', async () => {
  const mine = await evaluation('topic', { app: ['lib', 'own'], lib: ['base'], base: [], own: [] });
  const other = await evaluation('other', { lib: ['base'], base: [] });
  const cancelled = await database.knex.transaction((trx) => cancelEvaluations(trx, [mine.id], options));
  expect(cancelled).toEqual([mine.id]);
  expect(await states()).toEqual({ app: 'cancelled', base: 'queued', lib: 'blocked', own: 'cancelled' });
  expect(await evaluationStates()).toEqual(['cancelled', 'building']);
  expect(told).toEqual([mine.revisionId]);
  expect(await messageOf('app')).toBe(options.why);
  // Again, and of what is over: nothing.
  expect(await database.knex.transaction((trx) => cancelEvaluations(trx, [mine.id], options))).toEqual([]);
  await finish('base');
  await finish('lib');
  expect(await evaluationStates()).toEqual(['cancelled', 'succeeded']);
  expect(other.id).toBeGreaterThan(mine.id);
});

test('what runs is asked to stop, and is cancelled when it has', async () => {
  const { id } = await evaluation('topic', { app: ['base'], base: [] });
  const [attempt] = await claim();
  await database.knex.transaction((trx) => cancelEvaluations(trx, [id], options));
  expect(await states()).toEqual({ app: 'cancelled', base: 'building' });
  await complete(attempt, 'cancelled');
  expect(await states()).toEqual({ app: 'cancelled', base: 'cancelled' });
  expect(await messageOf('base')).toBe(options.why);
});

test('what was asked to stop and is wanted again meanwhile is built after all', async () => {
  const { id } = await evaluation('topic', { base: [] });
  const [attempt] = await claim();
  await database.knex.transaction((trx) => cancelEvaluations(trx, [id], options));
  await evaluation('other', { base: [] });
  await complete(attempt, 'cancelled');
  expect(await states()).toEqual({ base: 'queued' });
  await finish('base');
  expect(await evaluationStates()).toEqual(['cancelled', 'succeeded']);
});

test('a cancelled build takes with it what depends on it and what nobody else needs', async () => {
  const { id } = await evaluation('topic', {
    app: ['lib'],
    docs: ['tool'],
    lib: ['gcc', 'tool'],
    gcc: [],
    tool: [],
  });
  const [lib] = await database.knex('builds').where({ name: 'lib' }).pluck('id');
  // Its own attribute keeps a build wanted; `gcc` is none here.
  await database.knex('jobs').where({ evaluation_id: id, name: 'gcc' }).delete();
  expect(await database.knex.transaction((trx) => cancelBuild(trx, lib, options))).toBe(true);
  expect(await states()).toEqual({
    app: 'cancelled',
    docs: 'blocked',
    gcc: 'cancelled',
    lib: 'cancelled',
    tool: 'queued',
  });
  expect(await messageOf('app')).toContain('lib was cancelled');
  await finish('tool');
  await finish('docs');
  expect(await evaluationStates()).toEqual(['cancelled']);
  expect(await database.knex.transaction((trx) => cancelBuild(trx, lib, options))).toBe(false);
});

test('a newer commit takes the place of older ones of its branch, but not where others show them', async () => {
  const old = await evaluation('topic', { app: [], shared: [] });
  const both = await evaluation('topic', { both: [] }, ['feature']);
  const main = await evaluation('main', { main: [] });
  const newer = await evaluation('topic', { shared: [], next: [] });
  const supersede = (id: number, defaultBranch = false) =>
    database.knex.transaction((trx) => supersedeEvaluations(trx, id, { ...options, defaultBranch }));
  expect(await supersede(newer.id)).toEqual([old.id]);
  expect(await supersede(newer.id), 'it is safe to repeat').toEqual([]);
  expect(await states()).toEqual({
    app: 'cancelled',
    both: 'queued',
    main: 'queued',
    next: 'queued',
    shared: 'queued',
  });
  const row = await database.knex('evaluations').where({ id: old.id }).first();
  expect(row.cancel_reason).toMatch(/^A newer commit of branch topic took its place: [0-9a-f]{12}\.$/);
  expect(row.superseded_by).toBe(newer.id);
  const feature = await evaluation('feature', { third: [] });
  expect(await supersede(feature.id)).toEqual([both.id]);
  const onMain = await evaluation('main', { fourth: [] });
  expect(await supersede(onMain.id)).toEqual([]);
  expect(await supersede(onMain.id, true)).toEqual([main.id]);
});

test('a bump goes down to what the build waits for', async () => {
  await evaluation('topic', { app: ['lib'], lib: [], other: [] });
  const [app] = await database.knex('builds').where({ name: 'app' }).pluck('id');
  expect(await database.knex.transaction((trx) => bumpPriority(trx, app))).toBe(2);
  expect(await database.knex('builds').orderBy('name').pluck('priority')).toEqual([10, 10, 0]);
});

/** An evaluation of a new commit of a branch, with a job for every build. */
async function evaluation(branch: string, graph: Record<string, string[]>, moreBranches: string[] = []) {
  const { knex } = database;
  const sha = crypto.randomUUID().replaceAll('-', '').padEnd(40, '0');
  const [revision] = await knex('revisions')
    .insert({ project_id: projectId, sha, trust: 'trusted' })
    .returning('id');
  for (const name of [branch, ...moreBranches]) {
    const source = { revision_id: revision.id, kind: 'branch', name, git_ref: `refs/heads/${name}` };
    await knex('revision_sources').insert(source);
  }
  const [{ id }] = await knex('evaluations')
    .insert({ revision_id: revision.id, state: 'building' })
    .returning('id');
  const drv = (name: string) => `/nix/store/${name}.drv`;
  await knex.transaction(async (trx) => {
    const wanted = Object.entries(graph).map(([name, inputs]) => ({
      drvPath: drv(name),
      name,
      system,
      requiredFeatures: [],
      outputs: {},
      inputsOnly: false,
      inputs: inputs.map(drv),
    }));
    const builds = await enqueueBuilds(trx, wanted);
    for (const name of Object.keys(graph)) {
      const job = { evaluation_id: id, path: [name], drv_path: drv(name), name, system };
      await trx('jobs').insert({ ...job, build_id: builds.whole.get(drv(name)) });
    }
  });
  return { id, revisionId: revision.id };
}

/** Starts all that is ready, as a scheduler does. */
async function claim(): Promise<{ attemptId: number; buildId: number; name: string }[]> {
  const rows = await database
    .knex('builds')
    .where({ state: 'queued' })
    .update({ state: 'building' })
    .returning(['id', 'name']);
  return Promise.all(
    rows.map(async ({ id, name }) => {
      const attempt = { build_id: id, builder: 'here' };
      const [{ id: attemptId }] = await database.knex('attempts').insert(attempt).returning('id');
      return { attemptId, buildId: id, name };
    }),
  );
}

async function complete(
  attempt: { attemptId: number; buildId: number } | undefined,
  status: 'built' | 'cancelled',
): Promise<void> {
  if (!attempt) throw new Error('nothing was claimed');
  const result = { status, message: '', outputs: {}, startedAt: new Date(), finishedAt: new Date() };
  await database.knex.transaction((trx) =>
    completeAttempt(trx, attempt, result, (inner, ids) =>
      settleAfterBuilds(inner, ids, options.onRevisionChanged),
    ),
  );
}

async function finish(name: string): Promise<void> {
  const claimed = await claim();
  for (const attempt of claimed) await complete(attempt, 'built');
  expect(claimed.map((build) => build.name)).toContain(name);
}

async function states(): Promise<Record<string, string>> {
  const rows = await database.knex('builds').select('name', 'state').orderBy('id');
  return Object.fromEntries(rows.map((row) => [row.name, row.state]));
}

function evaluationStates(): Promise<string[]> {
  return database.knex('evaluations').orderBy('id').pluck('state');
}

async function messageOf(name: string): Promise<string> {
  return (await database.knex('builds').where({ name }).first()).message;
}
