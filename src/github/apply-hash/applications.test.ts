import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { endForsakenApplications, requestApplying } from './applications.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

const idRow = z.object({ id: z.number() });

test('whoever pressed Apply hash is told when the server ended in the last try, and not while there is hope', async () => {
  const { knex } = database;
  async function insert(table: string, row: Record<string, unknown>): Promise<number> {
    const [inserted]: unknown[] = await knex(table).insert(row).returning('id');
    return idRow.parse(inserted).id;
  }
  await knex('installations').insert({ id: 1, account_login: 'acme' });
  const project = await insert('projects', {
    github_repository_id: 1,
    installation_id: 1,
    owner: 'acme',
    name: 'app',
    default_branch: 'main',
    private: false,
  });
  const revision = await insert('revisions', {
    project_id: project,
    sha: 'a'.repeat(40),
    trust: 'trusted',
  });
  const asked_at = new Date(Date.now() - 3_600_000);
  const application = (specified: string) =>
    insert('hash_applications', {
      revision_id: revision,
      specified,
      got: 'g',
      name: 'n',
      asked_by: 'alice',
      asked_at,
    });
  const [forsaken, waiting, running] = [
    await application('1'),
    await application('2'),
    await application('3'),
  ];
  for (const id of [forsaken, waiting, running]) await requestApplying(knex, id);
  const task = (id: number) => knex('graphile_worker._private_jobs').where({ key: `apply-hash:${id}` });
  await task(forsaken).update({ attempts: knex.ref('max_attempts') });
  await task(running).update({ attempts: knex.ref('max_attempts'), locked_at: new Date(), locked_by: 'w' });
  const changed: number[] = [];
  const sweep = () =>
    knex.transaction((trx) =>
      endForsakenApplications(trx, async (_trx, id) => {
        changed.push(id);
      }),
    );
  await sweep();
  await sweep();
  expect(changed).toEqual([revision]);
  const rows = await knex('hash_applications').orderBy('id').select('applied', 'outcome');
  expect(rows).toEqual([
    { applied: false, outcome: 'The server ended while it was being done. Press again.' },
    { applied: false, outcome: null },
    { applied: false, outcome: null },
  ]);
});
