import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { completeAttempt } from './complete.ts';
import { enqueueBuilds } from './enqueue.ts';
import { failuresKnown, forgetFailures } from './failure-cache.ts';

const system = 'x86_64-linux';
const drv = (name: string) => `/nix/store/${name}.drv`;
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.knex('builders').insert({ name: 'here', kind: 'local', systems: [system], slots: 1 });
});
beforeEach(() => database.knex.raw('TRUNCATE builds, attempts, build_inputs, forgotten_failures CASCADE'));
afterAll(() => database?.drop());

test('what failed by itself ends a new wish at once, with what depends on it, naming the first failure', async () => {
  await want('bad');
  await end('bad', 'failed', 'exit code 1');
  await want('app', ['bad']);
  const [first, second] = await database.knex('builds').where({ name: 'bad' }).orderBy('id');
  const app = await database.knex('builds').where({ name: 'app' }).first();
  expect(second).toMatchObject({ name: 'bad', state: 'failed', cached_failure_of: first.id });
  expect(second.message).toMatch(
    new RegExp(
      `^exit code 1\nNot tried again: known from build ${first.id}, which ended as 'failed' at \\d{4}-`,
    ),
  );
  expect(app).toMatchObject({ name: 'app', state: 'dependency-failed', culprit_build_id: second.id });
});

test('a copy of a known failure does not make it last longer, and names the one that was tried', async () => {
  await want('bad');
  await end('bad', 'timed-out');
  await want('bad');
  await want('bad');
  const [first, ...later] = await database.knex('builds').orderBy('id');
  expect(later.map((build) => build.cached_failure_of)).toEqual([first.id, first.id]);
  await database
    .knex('builds')
    .where({ id: first.id })
    .update({ finished_at: new Date(Date.now() - 90_000_000) });
  await want('bad');
  expect(await states()).toEqual(['timed-out', 'timed-out', 'timed-out', 'queued']);
});

test('somebody asks for another try, and it is tried', async () => {
  await want('bad');
  await end('bad', 'failed');
  await database.knex.transaction((trx) => forgetFailures(trx, [drv('bad'), drv('bad'), drv('never-seen')]));
  await want('bad');
  expect(await states()).toEqual(['failed', 'queued']);
  await end('bad', 'built');
  await want('bad');
  expect(await states()).toEqual(['failed', 'succeeded', 'queued']);
});

test('machines, people, networks and other builds are no reason not to try again', async () => {
  await want('machine');
  for (let tries = 0; tries < 5; tries += 1) await end('machine', 'infrastructure');
  await want('download', [], true);
  await end('download', 'failed', 'could not resolve host');
  await want('app', ['bad']);
  await end('bad', 'failed');
  await want('stopped');
  await database.knex('builds').where({ name: 'stopped' }).update({ cancel_requested_at: new Date() });
  await end('stopped', 'cancelled');
  const paths = ['machine', 'download', 'app', 'bad', 'stopped'].map(drv);
  const known = await failuresKnown(database.knex, paths, { ttlSeconds: 3600 });
  expect([...known.keys()]).toEqual([drv('bad')]);
  expect((await failuresKnown(database.knex, paths, { ttlSeconds: 0 })).size).toBe(0);
});

test('a download whose hash differs is known: the network is not to blame for that', async () => {
  await want('download', [], true);
  await end('download', 'output-mismatch');
  await want('download', [], true);
  expect(await states()).toEqual(['output-mismatch', 'output-mismatch']);
});

function want(name: string, inputs: readonly string[] = [], fixedOutput = false) {
  const build = (own: string, needs: readonly string[]) => ({
    drvPath: drv(own),
    name: own,
    system,
    requiredFeatures: [],
    outputs: {},
    inputsOnly: false,
    fixedOutput,
    inputs: needs.map(drv),
  });
  const wanted = [build(name, inputs), ...inputs.map((input) => build(input, []))];
  return database.knex.transaction((trx) => enqueueBuilds(trx, wanted, { failureTtlSeconds: 86_400 }));
}

/** One attempt of the unfinished build of that name. */
async function end(
  name: string,
  status: 'built' | 'failed' | 'timed-out' | 'output-mismatch' | 'infrastructure' | 'cancelled',
  message = '',
): Promise<void> {
  const { knex } = database;
  const [{ id: buildId }] = await knex('builds')
    .where({ name, state: 'queued' })
    .update({ state: 'building' })
    .returning('id');
  const [{ id: attemptId }] = await knex('attempts')
    .insert({ build_id: buildId, builder: 'here' })
    .returning('id');
  const result = { status, message, outputs: {}, startedAt: new Date(), finishedAt: new Date() };
  await knex.transaction((trx) => completeAttempt(trx, { attemptId, buildId }, result, async () => {}));
}

function states(): Promise<string[]> {
  return database.knex('builds').orderBy('id').pluck('state');
}
