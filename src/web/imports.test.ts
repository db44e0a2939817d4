/** What was built while evaluating, as visitors find it. */
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seedDashboard } from '../../test/support/seed-dashboard.ts';
import { webUnderTest } from '../../test/support/web-under-test.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';

let database: TestDatabase;
let app: FastifyInstance;
beforeAll(async () => {
  database = await createTestDatabase();
  await seedDashboard(database.knex, 5);
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
  expect(page.body).toContain(`<a href="/api/v1/builds/${build.id}/log">Log of read-while-evaluating</a>`);
});
