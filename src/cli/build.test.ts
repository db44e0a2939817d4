import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { openLogWriter } from '../logs/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { upsertInstallation, upsertProject } from '../projects/index.ts';
import { runInProcess, startCommandLine } from './test-command-line.ts';

let database: TestDatabase;
const ids: Record<string, number> = {};

beforeAll(async () => {
  database = await createTestDatabase();
  const { knex } = database;
  for (const [name, state] of [
    ['app', 'blocked'],
    ['lib', 'queued'],
    ['bad', 'failed'],
  ] as const) {
    const over = state === 'failed' ? { finished_at: new Date(), message: 'exit code 1' } : {};
    const build = { drv_path: `/nix/store/${name}.drv`, name, system: 'x86_64-linux', state, ...over };
    const [{ id }] = await knex('builds').insert(build).returning('id');
    ids[name] = id;
  }
  await knex('build_inputs').insert({ build_id: ids.app, input_build_id: ids.lib });
});
afterAll(() => database?.drop());

test('builds are listed and shown, for people and for programs', async () => {
  const list = await ringmaster('build', 'list');
  expect(list.stdout).toMatch(/^ID +STATE +SYSTEM +NAME/);
  expect(list.stdout).toMatch(new RegExp(`^${ids.bad} +failed +x86_64-linux +bad`, 'm'));
  const failed = JSON.parse((await ringmaster('build', 'list', '--state', 'failed', '--json')).stdout);
  expect(failed.builds).toMatchObject([{ id: ids.bad, name: 'bad', drvPath: '/nix/store/bad.drv' }]);
  const shown = JSON.parse((await ringmaster('build', 'show', String(ids.bad), '--json')).stdout);
  expect(shown).toMatchObject({ state: 'failed', message: 'exit code 1', attempts: [] });
  const unknown = await ringmaster('build', 'show', '999');
  expect(unknown).toMatchObject({ status: 1, stdout: '' });
  expect(unknown.stderr).toContain('There is no build 999.');
});

test('a log is followed until the build is over, every byte of it', async () => {
  const { knex } = database;
  const [attempt] = await knex('attempts').insert({ build_id: ids.lib, builder: 'here' }).returning('id');
  const writer = openLogWriter({ db: knex, attemptId: attempt.id, log: silentLogger() });
  writer.line(Buffer.from('begun'));
  const following = start('build', 'log', '-f', String(ids.lib));
  await expect.poll(() => following.stdout()).toBe('begun\n');
  writer.line(Buffer.from('ended'));
  await writer.finish();
  await knex('attempts').where({ id: attempt.id }).update({ state: 'lost' });
  await knex('builds').where({ id: ids.lib }).update({ state: 'succeeded', finished_at: new Date() });
  expect(await following.status).toBe(0);
  expect(following.stdout()).toBe('begun\nended\n');
  expect((await ringmaster('build', 'log', String(ids.bad))).stderr).toContain('never tried');
  await knex('builds').where({ id: ids.lib }).update({ state: 'queued', finished_at: null });
});

test('results are kept until they are let go, and listed', async () => {
  const { knex } = database;
  const build = { drv_path: '/nix/store/v1.drv', name: 'v1', system: 'x86_64-linux', state: 'succeeded' };
  const [{ id }] = await knex('builds')
    .insert({ ...build, outputs: { out: '/nix/store/v1' }, finished_at: new Date() })
    .returning('id');
  expect(await ringmaster('build', 'keep', `${id}`, `${ids.bad}`)).toMatchObject({
    status: 1,
    stdout:
      `build ${id}: its results are kept\n` +
      `build ${ids.bad}: it did not succeed, so that there is nothing to keep\n`,
  });
  const listed = async () =>
    JSON.parse((await ringmaster('build', 'list', '--kept', '--json')).stdout).builds;
  expect(await listed()).toMatchObject([{ id, keptAt: expect.any(String) }]);
  expect(await ringmaster('build', 'let-go', `${id}`)).toMatchObject({ status: 0 });
  expect(await ringmaster('build', 'let-go', `${id}`)).toMatchObject({ status: 1 });
  expect(await listed()).toEqual([]);
  await knex('builds').where({ id }).delete();
});

test('the head of a branch or a commit is evaluated again, once at a time', async () => {
  const { knex } = database;
  await upsertInstallation(knex, 1, 'acme');
  const facts = { githubRepositoryId: 7, installationId: 1, owner: 'acme', name: 'hello' };
  const about = { private: false, defaultBranch: 'main', asOf: new Date() };
  const { id: project_id } = await upsertProject(knex, { ...facts, ...about });
  const sha = 'abcd'.repeat(10);
  const [{ id }] = await knex('revisions').insert({ project_id, sha, trust: 'trusted' }).returning('id');
  const source = { revision_id: id, kind: 'branch', name: 'main', git_ref: 'refs/heads/main' };
  await knex('revision_sources').insert(source);
  const first = await ringmaster('project', 'rerun', 'acme/hello');
  expect(first).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^acme\/hello abcdabcdabcd: evaluation \d+ is queued\n$/),
  });
  expect(await knex('evaluations').where({ revision_id: id })).toMatchObject([{ state: 'queued' }]);
  const again = await ringmaster('project', 'rerun', 'acme/hello', 'ABCDab', '--json');
  expect(again.status).toBe(1);
  expect(JSON.parse(again.stdout)).toMatchObject({ revisionId: id, sha, kind: 'under-way' });
  await knex('evaluations').update({ state: 'succeeded', finished_at: new Date() });
  const good = await ringmaster('project', 'rerun', 'acme/hello', '--failed');
  expect(good.stdout).toContain('nothing of it failed');
  await knex('projects').where({ id: project_id }).update({ enabled: false });
  const resting = await ringmaster('project', 'rerun', 'acme/hello');
  expect(resting).toMatchObject({ status: 1, stdout: expect.stringContaining('its project is at rest') });
  expect(await knex('evaluations').where({ revision_id: id })).toHaveLength(1);
  await knex('revisions').insert({ project_id, sha: `abcd${'0'.repeat(36)}`, trust: 'trusted' });
  for (const [commit, words] of [
    ['abcd', 'Several commits'],
    ['topic', "No branch 'topic'"],
  ] as const) {
    expect((await ringmaster('project', 'rerun', 'acme/hello', commit)).stderr).toContain(words);
  }
});

test('what succeeded is built again on demand, to compare; what came of it is shown', async () => {
  const { knex } = database;
  const build = { drv_path: '/nix/store/good.drv', name: 'good', system: 'x86_64-linux', state: 'succeeded' };
  const [{ id }] = await knex('builds')
    .insert({ ...build, finished_at: new Date(), outputs: { out: '/nix/store/good' } })
    .returning('id');
  const asked = await ringmaster('build', 'check', String(id), String(ids.bad));
  expect(asked).toMatchObject({
    status: 1,
    stdout:
      `build ${id}: built again when a builder is free\n` +
      `build ${ids.bad}: The build has no outputs to compare with.\n`,
  });
  const cancelled = await ringmaster('build', 'cancel', String(id));
  expect(cancelled.stdout).toBe(`build ${id}: its check is cancelled\n`);
  await knex('build_checks').update({
    outcome: 'non-deterministic',
    message: 'The output out differs.\nMore.',
    finished_at: new Date(),
  });
  const shown = await ringmaster('build', 'show', String(id));
  expect(shown.stdout).toMatch(/^check \d+ +not deterministic.* The output out differs\.$/m);
  await knex('builds').where({ id }).delete();
});

test('builds are bumped and cancelled; what is over says so, with exit status 1', async () => {
  expect(await ringmaster('build', 'bump', String(ids.app))).toMatchObject({ status: 0 });
  expect(await database.knex('builds').orderBy('name').pluck('priority')).toEqual([10, 0, 10]);
  const cancel = await ringmaster('build', 'cancel', String(ids.app), String(ids.bad), '--json');
  expect(cancel.status).toBe(1);
  const lines = cancel.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toMatchObject([
    { id: ids.app, done: true },
    { id: ids.bad, done: false, message: 'it is over already' },
  ]);
  expect(await database.knex('builds').orderBy('name').pluck('state')).toEqual([
    'cancelled',
    'failed',
    'cancelled',
  ]);
  expect((await ringmaster('build', 'restart', String(ids.bad))).stdout).toContain(
    'no commit wants it any more',
  );
});

test('a token is printed once, listed without itself, and revoked', async () => {
  const created = await ringmaster('token', 'create', 'deploy', '--scope', 'admin');
  expect(created.stdout).toMatch(/^rmt_[\w-]{43}\n$/);
  const list = await ringmaster('token', 'list', '--json');
  expect(list.stdout).not.toContain(created.stdout.trim());
  const [token] = JSON.parse(list.stdout).tokens;
  expect(token).toMatchObject({ name: 'deploy', scope: 'admin', revokedAt: null, lastUsedAt: null });
  expect(await ringmaster('token', 'revoke', String(token.id))).toMatchObject({ status: 0 });
  expect(await ringmaster('token', 'revoke', String(token.id))).toMatchObject({ status: 1 });
  expect(await ringmaster('token', 'create', 'x', '--scope', 'god')).toMatchObject({ status: 2 });
});

test('without a database none is made', async () => {
  const env = { DATABASE_URL: '', RINGMASTER_DATA_DIR: '/var/empty/ringmaster-nowhere' };
  const { status, stderr } = await runInProcess(['build', 'list'], env);
  expect(status).toBe(3);
  expect(stderr).toContain('There is no database in /var/empty/ringmaster-nowhere yet.');
});

function start(...args: string[]) {
  return startCommandLine(args, { DATABASE_URL: database.url });
}

function ringmaster(...args: string[]) {
  return runInProcess(args, { DATABASE_URL: database.url });
}
