/** What the settings of a repository mean for its evaluations. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { registerProcess } from '../postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { findProject, parseSettingsFile, recordSettings } from '../projects/index.ts';
import { claimEvaluation } from './queue.ts';
import { createSubmitRevision, type PassedOver } from './submit.ts';

let database: TestDatabase;
let processId: number;

beforeAll(async () => {
  database = await createTestDatabase();
  const options = { roles: [], taskWorkerIds: [], log: silentLogger() };
  processId = (await registerProcess(database, options)).id;
  await database.knex.raw(`
    INSERT INTO installations (id, account_login) VALUES (1, 'acme');
    INSERT INTO projects (github_repository_id, installation_id, owner, name, default_branch, private)
    VALUES (1, 1, 'acme', 'one', 'main', false), (2, 1, 'acme', 'two', 'main', false)`);
});
afterAll(() => database.drop());

const submit = createSubmitRevision(async () => {});

async function bring(projectId: number, sha: string, branch: string, passedOver?: PassedOver) {
  const project = await findProject(database.knex, projectId);
  if (!project) throw new Error(`There is no project ${projectId}.`);
  const source = { kind: 'branch', name: branch, gitRef: `refs/heads/${branch}`, title: '' } as const;
  return database.knex.transaction((trx) =>
    submit(trx, {
      project,
      sha,
      trust: { kind: 'trusted' },
      title: '',
      author: '',
      source: { ...source, ...(passedOver ? { passedOver } : {}) },
    }),
  );
}

const claim = () => database.knex.transaction((trx) => claimEvaluation(trx, processId));

test('no more evaluations of a repository run at a time than it says, and others go on', async () => {
  const parsed = parseSettingsFile('concurrency = 1');
  await recordSettings(database.knex, 1, { sha: undefined, text: '', parsed, asOf: new Date() });
  const first = await bring(1, 'a'.repeat(40), 'main');
  const second = await bring(1, 'b'.repeat(40), 'main');
  const other = await bring(2, 'c'.repeat(40), 'main');
  expect((await claim())?.id).toBe(first.evaluationId);
  const both = await Promise.all([claim(), claim()]);
  expect(both.map((one) => one?.id).filter((id) => id !== undefined)).toEqual([other.evaluationId]);
  await database.knex('evaluations').where({ id: first.evaluationId }).update({ state: 'building' });
  expect((await claim())?.id).toBe(second.evaluationId);
});

test('a commit is passed over while all places where it was seen leave it out', async () => {
  const why: PassedOver = { kind: 'irrelevant', reason: 'Nothing relevant changed.' };
  const sha = 'd'.repeat(40);
  expect(await bring(2, sha, 'one', why)).toMatchObject({ passedOver: true, evaluationId: undefined });
  expect(await bring(2, sha, 'two', why)).toMatchObject({ passedOver: true, evaluationId: undefined });
  const wanted = await bring(2, sha, 'three');
  expect(wanted).toMatchObject({ created: true });
  expect(await bring(2, sha, 'four', why)).toMatchObject({ evaluationId: wanted.evaluationId });
});
