import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { upsertInstallation } from './installations.ts';
import {
  findProject,
  findProjectByName,
  listProjects,
  markRemoved,
  type ProjectFacts,
  setProjectEnabled,
  upsertProject,
} from './registry.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await upsertInstallation(database.knex, 1, 'acme');
  await upsertInstallation(database.knex, 2, 'others');
});
afterAll(() => database.drop());
beforeEach(() => database.knex('projects').delete());

const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute));
const facts = (more: Partial<ProjectFacts> = {}): ProjectFacts => ({
  githubRepositoryId: 10,
  installationId: 1,
  owner: 'Acme',
  name: 'Rockets',
  private: false,
  defaultBranch: 'main',
  asOf: at(10),
  ...more,
});
const upsert = (more: Partial<ProjectFacts> = {}) => upsertProject(database.knex, facts(more));

test('a project is found by its id and by its name in any case', async () => {
  const { id } = await upsert();
  const expected = { id, owner: 'Acme', name: 'Rockets', enabled: true };
  expect(await findProject(database.knex, id)).toMatchObject(expected);
  expect(await findProjectByName(database.knex, 'aCME', 'rOCKETS')).toMatchObject(expected);
  expect(await findProjectByName(database.knex, 'acme', 'rocket_')).toBeUndefined();
});

test('newer knowledge changes a project, older knowledge does not', async () => {
  const { id } = await upsert();
  expect(await upsert({ name: 'Ships', private: true, asOf: at(11) })).toMatchObject({
    id,
    name: 'Ships',
    private: true,
  });
  expect(await upsert({ name: 'Rockets', asOf: at(9) })).toMatchObject({ id, name: 'Ships', private: true });
});

test('a default branch that is not said leaves the known one', async () => {
  await upsert({ defaultBranch: 'trunk' });
  expect(await upsert({ defaultBranch: undefined, asOf: at(11) })).toMatchObject({ defaultBranch: 'trunk' });
});

test('a name that was given to another repository means the one it was given to last', async () => {
  const old = await upsert();
  const young = await upsert({ githubRepositoryId: 11, asOf: at(11) });
  expect(await findProjectByName(database.knex, 'acme', 'rockets')).toMatchObject({ id: young.id });
  await setProjectEnabled(database.knex, young.id, false);
  expect(await findProjectByName(database.knex, 'acme', 'rockets')).toMatchObject({ id: old.id });
});

test('an operator’s pause is told from a removal, and ends when the operator or GitHub says so', async () => {
  const { id } = await upsert();
  await setProjectEnabled(database.knex, id, false);
  expect(await findProject(database.knex, id)).toMatchObject({ enabled: false, pausedAt: expect.any(Date) });
  const later = new Date(Date.now() + 60_000);
  expect(await upsert({ asOf: later })).toMatchObject({ enabled: false, pausedAt: expect.any(Date) });
  await setProjectEnabled(database.knex, id, true);
  expect(await findProject(database.knex, id)).toMatchObject({ enabled: true, pausedAt: undefined });
  await setProjectEnabled(database.knex, id, false);
  const chosen = await upsert({ asOf: new Date(Date.now() + 120_000), enable: true });
  expect(chosen).toMatchObject({ enabled: true, pausedAt: undefined });
});

test('removal is the installation’s own, and never undoes newer knowledge', async () => {
  const { id } = await upsert();
  const remove = (installationId: number, minute: number) =>
    markRemoved(database.knex, { githubRepositoryIds: [10, 999], installationId, asOf: at(minute) });
  expect(await remove(2, 20)).toBe(0);
  expect(await remove(1, 5)).toBe(0);
  expect(await remove(1, 20)).toBe(1);
  expect(await findProject(database.knex, id)).toMatchObject({ enabled: false, pausedAt: undefined });
  expect(await upsert({ asOf: at(21) })).toMatchObject({ enabled: false });
  expect(await upsert({ asOf: at(22), enable: true })).toMatchObject({ enabled: true });
});

test('projects are listed by name, whatever their case', async () => {
  await upsert({ githubRepositoryId: 1, owner: 'zeta', name: 'a' });
  await upsert({ githubRepositoryId: 2, owner: 'Acme', name: 'b' });
  await upsert({ githubRepositoryId: 3, owner: 'acme', name: 'A' });
  const names = (await listProjects(database.knex)).map(({ owner, name }) => `${owner}/${name}`);
  expect(names).toEqual(['acme/A', 'Acme/b', 'zeta/a']);
});
