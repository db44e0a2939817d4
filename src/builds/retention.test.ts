import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { updateGcRoots } from './gc-roots.ts';
import { keepBuild, keptSince, letGoOfBuild } from './kept.ts';
import { removeOldHistory } from './retention.ts';

const day = 24 * 3600 * 1000;
const ago = (days: number) => new Date(Date.now() - days * day);
let database: TestDatabase;
let projectId: number;
let nix: TestNix;
let folder: string;

beforeAll(async () => {
  const [under] = nixesUnderTest;
  if (!under) throw new Error('there is no Nix');
  [database, nix] = await Promise.all([createTestDatabase(), openTestNix(under)]);
  folder = await mkdtemp(join(tmpdir(), 'ringmaster-roots-'));
  const { knex } = database;
  await knex('installations').insert({ id: 1, account_login: 'acme' });
  const project = { github_repository_id: 1, installation_id: 1, owner: 'acme', name: 'app' };
  [{ id: projectId }] = await knex('projects')
    .insert({ ...project, default_branch: 'main', private: false })
    .returning('id');
});
beforeEach(() => database.knex.raw('TRUNCATE revisions, evaluations, jobs, builds, attempts CASCADE'));
afterAll(async () => {
  await database?.drop();
  await nix?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

test('old history goes, but not what is not over, what others need, nor the last word on the default branch', async () => {
  await evaluation('main', ago(900), ['first']);
  const newest = await evaluation('main', ago(800), ['second']);
  await evaluation('topic', ago(500), ['third', 'shared']);
  const recent = await evaluation('topic', ago(10), ['fourth', 'shared']);
  const open = await evaluation('slow', null, ['fifth']);
  await evaluation('topic', ago(450), ['checked']);
  const { knex } = database;
  const [attempt] = await knex('attempts').whereIn(
    'build_id',
    knex('builds').select('id').where({ name: 'third' }),
  );
  const checked = await knex('builds').where({ name: 'checked' }).first();
  await knex('build_checks').insert({ build_id: checked.id, asked_by: 'me' });
  expect(attempt).toBeDefined();
  expect(await removeOldHistory(knex, 0)).toEqual({ evaluations: 0, builds: 0 });
  expect(await removeOldHistory(knex, 400)).toEqual({ evaluations: 3, builds: 2 });
  expect(await removeOldHistory(knex, 400)).toEqual({ evaluations: 0, builds: 0 });
  expect(await knex('evaluations').orderBy('id').pluck('id')).toEqual([newest, recent, open]);
  expect(await knex('builds').orderBy('name').pluck('name')).toEqual([
    'checked',
    'fifth',
    'fourth',
    'second',
    'shared',
  ]);
  expect(await knex('log_chunks').where({ attempt_id: attempt.id })).toEqual([]);
});

test('results of the newest evaluations of each branch have roots that Nix knows, others lose theirs', async () => {
  const [one, two, three, other] = await Promise.all(
    ['one', 'two', 'three', 'other'].map((name) => inStore(name)),
  );
  await evaluation('topic', ago(3), ['a'], one);
  await evaluation('topic', ago(2), ['a'], two);
  await evaluation('main', ago(90), ['a'], other);
  expect(await update()).toEqual({ added: 3, removed: 0 });
  expect(await update()).toEqual({ added: 0, removed: 0 });
  expect(await nixRoots()).toEqual([one, two, other].sort());
  await evaluation('topic', ago(1), ['a'], three);
  expect(await update()).toEqual({ added: 1, removed: 1 });
  await evaluation('old', ago(40), ['a'], one);
  await evaluation('lies', ago(0), ['a'], '/etc/passwd');
  await evaluation('gone', ago(0), ['a'], `${nix.nix.storeDir}/00000000000000000000000000000000-gone`);
  expect(await update()).toEqual({ added: 0, removed: 0 });
  const links = await Promise.all((await readdir(folder)).map((name) => readlink(join(folder, name))));
  expect(links.sort()).toEqual([two, three, other].sort());
});

test('what somebody keeps stays, with a root, until it is let go', async () => {
  const { knex } = database;
  const [path, later] = await Promise.all([inStore('release'), inStore('later')]);
  await evaluation('v1', ago(900), ['release'], path);
  await evaluation('v1', ago(1), ['later'], later);
  const [id] = await knex('builds').where({ name: 'release' }).pluck('id');
  await knex('builds')
    .where({ id })
    .update({ outputs: { out: path } });
  const keep = () => knex.transaction((trx) => keepBuild(trx, id, 'ann'));
  expect([await keep(), await keep()]).toEqual(['kept', 'kept-before']);
  expect(await keptSince(knex, id)).toBeInstanceOf(Date);
  await update();
  expect(await nixRoots()).toEqual([path, later].sort());
  expect(await removeOldHistory(knex, 400)).toEqual({ evaluations: 1, builds: 0 });
  await update();
  expect(await nixRoots()).toEqual([path, later].sort());
  expect([await letGoOfBuild(knex, id), await letGoOfBuild(knex, id)]).toEqual([true, false]);
  await update();
  expect(await nixRoots()).toEqual([later]);
  expect(await removeOldHistory(knex, 400)).toEqual({ evaluations: 0, builds: 1 });
  expect(await keep()).toBe('unknown');
});

test('only results that are there can be kept', async () => {
  const { knex } = database;
  await evaluation('topic', null, ['open']);
  await evaluation('topic', ago(1), ['bad', 'shell', 'unknown']);
  await knex('builds').where({ name: 'bad' }).update({ state: 'failed' });
  await knex('builds')
    .where({ name: 'shell' })
    .update({ inputs_only: true, outputs: { out: '/nix/store/x' } });
  await knex('builds')
    .where({ name: 'unknown' })
    .update({ outputs: { out: null } });
  const said: string[] = [];
  for (const name of ['open', 'bad', 'shell', 'unknown']) {
    const [id] = await knex('builds').where({ name }).pluck('id');
    said.push(await knex.transaction((trx) => keepBuild(trx, id, 'ann')));
  }
  expect(said).toEqual(['unfinished', 'bad-end', 'nothing-to-keep', 'nothing-to-keep']);
});

function update() {
  const keep = { keepEvaluations: 2, keepDays: 30 };
  const store = nix.openStore();
  return updateGcRoots({ db: database.knex, folder, store, storeDir: nix.nix.storeDir, keep }).finally(() =>
    store.close(),
  );
}

async function nixRoots(): Promise<string[]> {
  const roots = await nix.run('nix-store', ['--gc', '--print-roots']);
  return roots
    .split('\n')
    .filter((line) => line.startsWith(folder))
    .map((line) => line.split(' -> ')[1] ?? '')
    .sort();
}

function inStore(name: string): Promise<string> {
  return nix.derivation(`echo ${name} > $out`);
}

/** A finished or, without a time, unfinished evaluation of a new commit with builds that succeeded. */
async function evaluation(
  branch: string,
  finished: Date | null,
  names: readonly string[],
  output = '/nowhere',
): Promise<number> {
  const { knex } = database;
  const sha = crypto.randomUUID().replaceAll('-', '').padEnd(40, '0');
  const [revision] = await knex('revisions')
    .insert({ project_id: projectId, sha, trust: 'trusted' })
    .returning('id');
  const source = { revision_id: revision.id, kind: 'branch', name: branch, git_ref: `refs/heads/${branch}` };
  await knex('revision_sources').insert(source);
  const state = finished ? 'succeeded' : 'building';
  const [{ id }] = await knex('evaluations')
    .insert({ revision_id: revision.id, state, finished_at: finished })
    .returning('id');
  for (const name of names) {
    const drv_path = `/nix/store/${name}.drv`;
    const existing = await knex('builds').where({ name }).first();
    const [build] = existing
      ? [existing]
      : await knex('builds')
          .insert({
            drv_path,
            name,
            system: 's',
            state: finished ? 'succeeded' : 'queued',
            finished_at: finished,
          })
          .returning('id');
    if (!existing) {
      const [attempt] = await knex('attempts')
        .insert({ build_id: build.id, builder: 'here' })
        .returning('id');
      await knex('log_chunks').insert({ attempt_id: attempt.id, position: 0, first_line: 0, bytes: 'x' });
    }
    const outputs = JSON.stringify({ out: output });
    await knex('jobs').insert({
      evaluation_id: id,
      path: [name],
      drv_path,
      name,
      system: 's',
      outputs,
      build_id: build.id,
    });
  }
  return id;
}
