/** What jobs refer to is there, whoever adds and removes at the same time. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';

let database: TestDatabase;
let evaluation: number;
let build: number;
beforeAll(async () => {
  database = await createTestDatabase();
  const { knex } = database;
  await knex('installations').insert({ id: 1, account_login: 'acme' });
  const about = {
    installation_id: 1,
    owner: 'acme',
    name: 'rockets',
    default_branch: 'main',
    private: false,
  };
  await knex('projects').insert({ github_repository_id: 1, ...about });
  await knex('revisions').insert({ project_id: 1, sha: 'a'.repeat(40), trust: 'trusted' });
});
afterAll(() => database.drop());
beforeEach(async () => {
  const { knex } = database;
  const evaluated: { id: number }[] = await knex('evaluations').insert({ revision_id: 1 }).returning('id');
  evaluation = evaluated[0]?.id ?? 0;
  const about = { drv_path: `/nix/store/${evaluation}.drv`, name: 'hello', system: 'x86_64-linux' };
  const built: { id: number }[] = await knex('builds')
    .insert({ ...about, state: 'succeeded', finished_at: knex.fn.now() })
    .returning('id');
  build = built[0]?.id ?? 0;
});

const job = (name: string) => ({ evaluation_id: evaluation, path: [name], build_id: build });
const jobs = () => database.knex('jobs').where({ evaluation_id: evaluation });

test('no job is added without its evaluation, or to a build that is not there', async () => {
  await expect(database.knex('jobs').insert({ ...job('a'), evaluation_id: 0 })).rejects.toThrow(
    'an evaluation',
  );
  await expect(database.knex('jobs').insert({ ...job('a'), build_id: 0 })).rejects.toThrow('a build');
  await database.knex('jobs').insert({ ...job('a'), build_id: null });
  await expect(jobs().update({ build_id: 0 })).rejects.toThrow('a build');
});

test('the jobs of an evaluation go with it, and a build stays while a job hangs on it', async () => {
  await database.knex('jobs').insert([job('a'), job('b')]);
  const removeBuild = () => database.knex('builds').where({ id: build }).delete();
  await expect(removeBuild()).rejects.toThrow('a job hangs on the build');
  await database.knex('evaluations').where({ id: evaluation }).delete();
  expect(await jobs()).toEqual([]);
  expect(await removeBuild()).toBe(1);
});

test('who removes what a job is being added to waits, and then knows of the job', async () => {
  const adding = await database.knex.transaction();
  await adding('jobs').insert(job('a'));
  const removed = database.knex('builds').where({ id: build }).delete().then(Number);
  const refused = expect(removed).rejects.toThrow('a job hangs on the build');
  await adding.commit();
  await refused;
  const addingMore = await database.knex.transaction();
  await addingMore('jobs').insert(job('b'));
  const removedWithJobs = database.knex('evaluations').where({ id: evaluation }).delete().then(Number);
  await addingMore.commit();
  expect(await removedWithJobs).toBe(1);
  expect(await jobs()).toEqual([]);
});

test('a job comes too late for a build or an evaluation that is being removed', async () => {
  for (const [table, id] of [
    ['builds', build],
    ['evaluations', evaluation],
  ] as const) {
    const removing = await database.knex.transaction();
    await removing(table).where({ id }).delete();
    const late = expect(database.knex('jobs').insert(job('late')).then(Number)).rejects.toThrow('not there');
    await removing.commit();
    await late;
  }
});
