/** What an evaluation has built for itself, as people find it afterwards. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readLog } from '../logs/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { createTestOrigin, type TestOrigin } from '../projects/test-origin.ts';
import { cancelBuild } from './cancel.ts';
import { startTestCoordinator } from './test-coordinator.ts';

let database: TestDatabase;
let origin: TestOrigin;
let testNix: TestNix;
beforeAll(async () => {
  const [under] = nixesUnderTest;
  if (!under) throw new Error('there is no Nix');
  database = await createTestDatabase();
  origin = await createTestOrigin();
  testNix = await openTestNix(under);
});
afterAll(async () => {
  await testNix.close();
  await origin.remove();
  await database.drop();
});

/** Builds of an evaluation with what their newest attempt says. */
async function importsOf(evaluationId: number) {
  const rows = await database
    .knex('evaluation_imports')
    .join('builds', 'builds.id', 'evaluation_imports.build_id')
    .join('attempts', 'attempts.build_id', 'builds.id')
    .where('evaluation_imports.evaluation_id', evaluationId)
    .orderBy('builds.id')
    .select(
      'builds.*',
      'attempts.id AS attempt',
      'attempts.builder',
      'attempts.status',
      'attempts.log_complete',
    );
  return Promise.all(
    rows.map(async (row) => {
      const { bytes } = await readLog(database.knex, row.attempt, { fromByte: 0, maxBytes: 10_000 });
      return { ...row, log: bytes.toString() };
    }),
  );
}

const build = `let build = name: script: derivation {
  inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; }; in\n`;

test('import from derivation leaves builds with logs, good and bad, and an error that names the bad one', async () => {
  const coordinator = await startTestCoordinator(database, origin, testNix);
  const sha = await origin.commit({
    'ci.nix': `${build}{
      good = build (import (build "its-name" "echo thinking of a name; echo '\\"good\\"' > $out")) "echo > $out";
      bad = import (build "broken" "echo the reason; exit 3");
    }`,
  });
  const evaluation = await coordinator.push(sha);
  expect(evaluation).toMatchObject({ job_count: 1, error_count: 1 });
  const [bad] = (await coordinator.jobs(evaluation.id)).filter((job) => job.error !== null);
  const [broken, name] = (await importsOf(evaluation.id)).sort((a, b) => (a.name < b.name ? -1 : 1));
  expect(name).toMatchObject({
    name: 'its-name',
    state: 'succeeded',
    builder: 'evaluation',
    status: 'built',
    log_complete: true,
    log: 'thinking of a name\n',
  });
  expect(broken).toMatchObject({ name: 'broken', state: 'failed', status: 'failed', log: 'the reason\n' });
  expect(broken.message).toContain('exit code 3');
  expect(bad?.path).toEqual(['bad']);
  expect(bad?.error).toContain(broken.drv_path);
  expect(await database.knex('attempts').where({ state: 'running' })).toEqual([]);
  await coordinator.close();
});

test('a build that an evaluation waits for can be cancelled alone: it stops, and what reads it is an error that says so', async () => {
  const coordinator = await startTestCoordinator(database, origin, testNix);
  const sha = await origin.commit({
    'ci.nix': `${build}let endless = build "never-ending" "echo begun; while :; do sleep 1; done"; in {
      a = import endless; b = import (build "above" "cat \${endless} > $out"); c = build "c" "echo > $out";
    }`,
  });
  const pushed = coordinator.push(sha);
  const running = () =>
    database
      .knex('builds')
      .join('attempts', 'attempts.build_id', 'builds.id')
      .where({ name: 'never-ending', 'attempts.state': 'running' })
      .select('builds.id');
  await expect.poll(running, { timeout: 60_000 }).toHaveLength(1);
  const [{ id }] = await running();
  await database.knex.transaction((trx) =>
    cancelBuild(trx, id, { why: 'Cancelled by @ada.', onRevisionChanged: async () => {} }),
  );
  coordinator.stopCancelled();
  const evaluation = await pushed;
  expect(evaluation).toMatchObject({ job_count: 1, error_count: 2 });
  const errors = (await coordinator.jobs(evaluation.id)).filter((job) => job.error !== null);
  expect(errors.map(({ path }) => path)).toEqual([['a'], ['b']]);
  for (const { error } of errors) {
    expect(error).toMatch(/building '.*-never-ending\.drv' was cancelled: Cancelled by @ada\./);
  }
  expect(await database.knex('builds').where({ id }).first()).toMatchObject({
    state: 'cancelled',
    message: 'Cancelled by @ada.',
  });
  // Another time nobody may cancel it.
  expect(await database.knex('evaluations').where({ id: evaluation.id }).first()).toMatchObject({
    reuse_key: null,
  });
  await coordinator.close();
});

test('an evaluation that is stopped leaves no build behind that nobody wants', async () => {
  const coordinator = await startTestCoordinator(database, origin, testNix);
  const sha = await origin.commit({
    'ci.nix': `${build}{ a = import (build "endless" "echo begun; while :; do sleep 1; done"); }`,
  });
  const pushed = coordinator.push(sha);
  const builds = () => database.knex('builds').where({ name: 'endless' });
  await expect.poll(builds, { timeout: 30_000 }).toMatchObject([{ state: 'building' }]);
  await coordinator.close();
  expect(await builds()).toMatchObject([
    { state: 'cancelled', message: 'The evaluation that waited for it ended.' },
  ]);
  expect(await database.knex('evaluations').orderBy('id', 'desc').first()).toMatchObject({ state: 'queued' });
  await database
    .knex('evaluations')
    .where({ state: 'queued' })
    .update({ state: 'cancelled', finished_at: new Date() });
  void pushed;
});

test('an audit that cannot be done postpones the evaluation, and is no error of the repository', async () => {
  const away = Object.assign(new Error('the connection was cut'), { code: 'ECONNRESET' });
  const coordinator = await startTestCoordinator(database, origin, testNix, {
    openProvenance: async () => ({
      allowed: () => Promise.reject(away),
      remember: async () => {},
    }),
  });
  const path = `/nix/store/${'0'.repeat(32)}-strange`;
  const sha = await origin.commit({
    'ci.nix': `${build}{ a = build "a" "echo \${builtins.appendContext "${path}" { "${path}".path = true; }}"; }`,
  });
  void coordinator.push(sha);
  const newest = () => database.knex('evaluations').orderBy('id', 'desc').first();
  await expect.poll(newest, { timeout: 30_000 }).toMatchObject({
    state: 'queued',
    postponed: 1,
    waiting_for: expect.stringContaining('the connection was cut'),
  });
  await coordinator.close();
});
