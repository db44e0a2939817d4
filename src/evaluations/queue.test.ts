import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { registerProcess } from '../postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import {
  claimEvaluation,
  mostTries,
  putBackEvaluations,
  releaseEvaluations,
  stillOurs,
  takenAway,
} from './queue.ts';

let database: TestDatabase;
let processId: number;
const nobody = async () => {};

beforeAll(async () => {
  database = await createTestDatabase();
  const options = { roles: [], taskWorkerIds: [], log: silentLogger() };
  processId = (await registerProcess(database, options)).id;
  await database.knex.raw(`
    INSERT INTO installations (id, account_login) VALUES (1, 'acme');
    INSERT INTO projects (github_repository_id, installation_id, owner, name, default_branch, private)
    VALUES (1, 1, 'acme', 'app', 'main', false);
    INSERT INTO revisions (project_id, sha, trust)
    SELECT id, repeat('a', 40), 'trusted' FROM projects`);
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.knex('evaluations').delete();
  await database.knex.raw('INSERT INTO evaluations (revision_id) SELECT id FROM revisions');
});

test('an evaluation whose claim was never heard of is given back; one that runs is not', async () => {
  const id = await claim();
  await release([id]);
  expect(await found()).toMatchObject({ state: 'evaluating', process_id: processId });
  await release([]);
  expect(await found()).toMatchObject({ state: 'queued', process_id: null });
});

test('who was taken for dead learns that the evaluation is not theirs any more', async () => {
  const id = await claim();
  expect(await takenAway(database.knex, processId, [id])).toEqual([]);
  await release([]);
  expect(await takenAway(database.knex, processId, [id])).toEqual([id]);
  expect(await database.knex.transaction((trx) => stillOurs(trx, id, processId))).toBe(false);
});

test('an evaluation that breaks off each time ends; one that is interrupted by stops does not', async () => {
  for (let stop = 0; stop < 2 * mostTries; stop += 1) {
    await claim();
    await database.knex.transaction((trx) => putBackEvaluations(trx, processId, nobody));
  }
  expect(await found()).toMatchObject({ state: 'queued', tries: 0 });
  for (let death = 0; death < mostTries; death += 1) {
    await claim();
    await release([]);
  }
  expect(await found()).toMatchObject({ state: 'failed', error_count: 1 });
});

async function claim(): Promise<number> {
  const claimed = await database.knex.transaction((trx) => claimEvaluation(trx, processId));
  expect(claimed).toBeDefined();
  return claimed?.id ?? 0;
}

function release(running: readonly number[]): Promise<void> {
  return database.knex.transaction((trx) => releaseEvaluations(trx, [processId], nobody, running));
}

function found(): Promise<unknown> {
  return database.knex('evaluations').first();
}
