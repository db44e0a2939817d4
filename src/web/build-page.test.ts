/** Builds that are no attribute, and why builds failed, as visitors find it. */
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type SeededDashboard, seedDashboard } from '../../test/support/seed-dashboard.ts';
import { seedMachines } from '../../test/support/seed-machines.ts';
import { addAttempt } from '../../test/support/seed-rows.ts';
import { webUnderTest } from '../../test/support/web-under-test.ts';
import { keepBuild } from '../builds/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { countJobs } from './read/job-counts.ts';
import { listWantedBy, listWantingRevisions } from './read/wanted-by.ts';

let database: TestDatabase;
let app: FastifyInstance;
let shas: SeededDashboard['shas'];
let failed: SeededDashboard['failed'];
let machines: Awaited<ReturnType<typeof seedMachines>>;
beforeAll(async () => {
  database = await createTestDatabase();
  ({ shas, failed } = await seedDashboard(database.knex, 5));
  machines = await seedMachines(database.knex);
  app = await webUnderTest(database);
});
afterAll(async () => {
  await app.close();
  await database.drop();
});

test('a build that an evaluation needed is listed with it, and an error that names it links to its log', async () => {
  const { knex } = database;
  const evaluation = await knex('evaluations')
    .join('revisions', 'revisions.id', 'evaluations.revision_id')
    .join('projects', 'projects.id', 'revisions.project_id')
    .where({ private: false })
    .whereNull('evaluations.reused_from')
    .orderBy('evaluations.id', 'desc')
    .first('evaluations.id', 'owner', 'name', 'sha');
  const drvPath = `/nix/store/${'b'.repeat(32)}-read-while-evaluating.drv`;
  const [build] = await knex('builds')
    .insert({
      drv_path: drvPath,
      name: 'read-while-evaluating',
      system: 'x86_64-linux',
      state: 'failed',
      message: 'exit code 3',
      finished_at: new Date(),
    })
    .returning('id');
  await knex('evaluation_imports').insert({ evaluation_id: evaluation.id, build_id: build.id });
  await knex('jobs').insert({
    evaluation_id: evaluation.id,
    path: ['reads', 'it'],
    error: `error: builder for '${drvPath}' failed`,
  });
  const { items } = (await app.inject(`/api/v1/evaluations/${evaluation.id}/imports`)).json();
  expect(items).toMatchObject([
    { buildId: build.id, name: 'read-while-evaluating', drvPath, state: 'failed' },
  ]);
  expect((await app.inject(`/api/v1/builds/${build.id}`)).statusCode).toBe(200);
  const page = await app.inject(`/${evaluation.owner}/${evaluation.name}/commit/${evaluation.sha}`);
  expect(page.body).toContain('Built while evaluating');
  expect(page.body).toContain(`<a href="/builds/${build.id}">Log of read-while-evaluating</a>`);
});

/** What a reader sees of a page. */
async function read(path: string): Promise<string> {
  const { statusCode, body } = await app.inject(path);
  expect(statusCode, path).toBe(200);
  return body.replace(/<[^>]*>/g, '').replaceAll('&#39;', "'");
}

async function revisionOf(sha: string): Promise<number> {
  const row: { id: number } = await database.knex('revisions').where({ sha }).first('id');
  return row.id;
}

test('an input that is no attribute has a page with its log, to which what needed it leads', async () => {
  const { knex } = database;
  const [input]: { id: number }[] = await knex('builds')
    .insert({
      drv_path: `/nix/store/${'c'.repeat(32)}-hidden-input.drv`,
      name: 'hidden-input',
      system: 'x86_64-linux',
      state: 'failed',
      message: "builder for '/nix/store/…-hidden-input.drv' failed with exit code 7",
      started_at: new Date(),
      finished_at: new Date(),
    })
    .returning('id');
  const id = input?.id ?? 0;
  const lines = Array.from({ length: 5_000 }, (_, line) => `compiling file ${line}`);
  lines[1_234] = 'src/a.c:1:1: error: no such thing';
  await addAttempt(knex, id, lines, { status: 'failed' });
  const docs: { build_id: number } = await knex('jobs')
    .join('evaluations', 'evaluations.id', 'evaluation_id')
    .where({ revision_id: await revisionOf(shas.red), name: 'docs' })
    .first('build_id');
  await knex('builds').where({ id: docs.build_id }).update({ culprit_build_id: id });
  await knex('build_inputs').insert({ build_id: docs.build_id, input_build_id: id });

  const job = await app.inject(`/acme/hello/commit/${shas.red}/packages.x86_64-linux.docs`);
  expect(job.body).toContain(`<a href="/builds/${id}"><code>hidden-input</code></a>`);
  expect(job.body).toContain(`<a href="/builds/${id}#L1235">line 1,235</a>`);
  const page = await read(`/builds/${id}`);
  expect(page).toMatch(/failed with exit code 7 in .* on local/);
  expect(page).toContain('src/a.c:1:1: error: no such thing');
  expect(page).toContain('First error: line 1,235');
  expect(page).toMatch(/Wanted by.*packages\.x86_64-linux\.docs/);
  expect((await app.inject('/builds/999999')).statusCode).toBe(404);
});

test('an input of a private repository has no page', async () => {
  const secret: { id: number } = await database.knex('builds').where({ name: 'secret-thing' }).first('id');
  expect((await app.inject(`/builds/${secret.id}`)).statusCode).toBe(404);
  expect((await app.inject(`/builds/${secret.id}/events`)).statusCode).toBe(404);
});

test('a failure that is known from a private repository names no build of it', async () => {
  const { knex } = database;
  const secret: { id: number } = await knex('builds').where({ name: 'secret-thing' }).first('id');
  const known: { build_id: number } = await knex('jobs')
    .join('evaluations', 'evaluations.id', 'evaluation_id')
    .where({ revision_id: await revisionOf(machines.known), path: '{checks,again}' })
    .first('build_id');
  const builds = knex('builds').where({ id: known.build_id });
  const before: { cached_failure_of: number } = await builds.clone().first('cached_failure_of');
  await builds.clone().update({ cached_failure_of: secret.id });
  const path = `/acme/machines/commit/${machines.known}/checks.again`;
  const { body } = await app.inject(path);
  expect(await read(path)).toContain('This derivation is known to fail. A comment');
  expect(body).not.toContain(`/builds/${secret.id}"`);
  await builds.clone().update(before);
  expect(await read(path)).toContain(`is known to fail, from build ${before.cached_failure_of}.`);
});

test('a failed attribute says first what its log complains of, and where in the commit', async () => {
  await database.knex('build_places').insert({
    revision_id: await revisionOf(shas.red),
    attempt_id: failed.attemptId,
    places: JSON.stringify([
      { path: 'src/lease_61.c', line: 142, column: 17, message: 'implicit declaration', level: 'failure' },
    ]),
  });
  const path = `/acme/hello/commit/${shas.red}/checks.x86_64-linux.test`;
  expect(await read(path)).toMatch(/First error.*line 93[\s\S]*implicit declaration of function[\s\S]*Log/);
  expect((await app.inject(path)).body).toContain(
    `href="https://github.com/acme/hello/blob/${shas.red}/src/lease_61.c#L142"`,
  );
});

test('a hash that was applied says by whom, and what came of it', async () => {
  await database.knex('hash_applications').insert({
    revision_id: await revisionOf(machines.known),
    specified: 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    got: 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
    name: 'source',
    asked_by: 'ada',
    ended_at: new Date(),
    applied: true,
    outcome: 'Committed to main as 3f2a9c1.',
  });
  expect(await read(`/acme/machines/commit/${machines.known}/packages.source`)).toMatch(
    /ada pressed Apply hash just now\.\s+Committed to main as 3f2a9c1\./,
  );
});

test('of many evaluation errors the first are shown whole, the others as a line to unfold', async () => {
  const { knex } = database;
  const { id }: { id: number } = await knex('evaluations')
    .where({ revision_id: await revisionOf(shas.empty) })
    .first('id');
  await knex('jobs').insert(
    Array.from({ length: 6 }, (_, index) => ({
      evaluation_id: id,
      path: ['hosts', `machine-${index}`],
      error: `error: attribute 'a${index}' missing\n\n       at ci.nix:1:1:`,
    })),
  );
  await knex('evaluations').where({ id }).update({ error_count: 6 });
  const harbour = '/lighthouse/infrastructure-of-the-harbour-and-its-many-machines';
  const { body } = await app.inject(`${harbour}/commit/${shas.empty}`);
  expect(body.match(/<details id="folded-/g)).toHaveLength(3);
  expect(body).toMatch(
    /<summary><code>hosts\.machine-5<\/code> <span class="cause">attribute &#39;a5&#39; missing/,
  );
});

test('a build is listed with the visible attributes it is for, however many others have it', async () => {
  const { knex } = database;
  const [build] = await knex('builds')
    .insert({ drv_path: '/nix/store/shared.drv', name: 'shared', system: 'x86_64-linux', state: 'queued' })
    .returning('id');
  const newest = (hidden: boolean) =>
    knex('evaluations')
      .join('revisions', 'revisions.id', 'evaluations.revision_id')
      .join('projects', 'projects.id', 'revisions.project_id')
      .where({ private: hidden })
      .orderBy('evaluations.id', 'desc')
      .first('evaluations.id', 'revisions.id as revision');
  const [seen, secret] = [await newest(false), await newest(true)];
  await knex('jobs').insert({ evaluation_id: seen.id, path: ['for-all'], build_id: build.id });
  await knex.raw(
    `INSERT INTO jobs (evaluation_id, path, build_id)
     SELECT CAST(:evaluation AS bigint), ARRAY['secret' || n], CAST(:build AS bigint) FROM generate_series(1, 1001) n`,
    { evaluation: secret.id, build: build.id },
  );
  const reader = { db: knex, showPrivate: false };
  expect((await listWantedBy(reader, build.id, 5)).map(({ path }) => path)).toEqual([['for-all']]);
  expect(await listWantingRevisions(reader, build.id)).toEqual(new Set([seen.revision]));
});

test('results that somebody keeps are said to be kept', async () => {
  const { id } = await database.knex('builds').where({ state: 'succeeded' }).orderBy('id').first('id');
  expect(await read(`/builds/${id}`)).not.toContain('Kept');
  await database
    .knex('builds')
    .where({ id })
    .update({ outputs: { out: '/nix/store/result' } });
  await database.knex.transaction((trx) => keepBuild(trx, id, 'a test'));
  expect(await read(`/builds/${id}`)).toContain('Keptjust now, until it is let go');
});

test('the log of an attempt that is not there is the newest one', async () => {
  const build = await database.knex('builds').where({ state: 'failed' }).orderBy('id').first('id');
  await addAttempt(database.knex, build.id, ['words of the only attempt']);
  const text = await read(`/builds/${build.id}?attempt=999999999`);
  expect(text).toContain('words of the only attempt');
});

test('what others still build of a cancelled evaluation is counted as it ends', async () => {
  const { knex } = database;
  const { id: revision } = await knex('revisions').orderBy('id').first('id');
  const finished_at = new Date();
  const [evaluation] = await knex('evaluations')
    .insert({ revision_id: revision, state: 'cancelled', finished_at })
    .returning('id');
  const [build] = await knex('builds')
    .insert({ drv_path: '/nix/store/going-on.drv', name: 'going-on', system: 'x', state: 'building' })
    .returning('id');
  await knex('jobs').insert({ evaluation_id: evaluation.id, path: ['a'], build_id: build.id });
  const reader = { db: knex, showPrivate: true };
  const counts = async () =>
    (await countJobs(reader, [{ id: evaluation.id, finished_at }])).get(evaluation.id);
  expect(await counts()).toMatchObject({ running: 1, good: 0 });
  await knex('builds').where({ id: build.id }).update({ state: 'succeeded', finished_at });
  expect(await counts()).toMatchObject({ running: 0, good: 1 });
});
