import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seedDashboard } from '../../../test/support/seed-dashboard.ts';
import { webUnderTest } from '../../../test/support/web-under-test.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { createToken } from '../tokens.ts';

let database: TestDatabase;
let app: FastifyInstance;
let admin: string;
let reader: string;
let told = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  await seedDashboard(database.knex, 3);
  app = await webUnderTest(database, {
    onRevisionChanged: async () => {
      told += 1;
    },
  });
  admin = (await createToken(database.knex, { name: 'tests', scope: 'admin' })).secret;
  reader = (await createToken(database.knex, { name: 'looker', scope: 'read' })).secret;
});
afterAll(async () => {
  await app?.close();
  await database?.drop();
});

function ask(method: 'GET' | 'POST' | 'DELETE', path: string, token?: string, body?: object) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return app.inject({ method, url: `/api/v1${path}`, headers, ...(body ? { payload: body } : {}) });
}

test('what changes things needs a token of the scope admin', async () => {
  const { id } = await database.knex('builds').first();
  const paths = [
    `/builds/${id}/cancel`,
    `/builds/${id}/bump`,
    `/builds/${id}/restart`,
    '/evaluations/1/cancel',
  ];
  for (const path of [...paths, '/tokens']) {
    expect((await ask('POST', path)).json()).toMatchObject({ status: 401, code: 'token-needed' });
    expect((await ask('POST', path, reader)).json()).toMatchObject({ status: 403, code: 'not-allowed' });
    expect((await ask('POST', path, `${admin}x`)).json()).toMatchObject({ status: 401, code: 'bad-token' });
  }
});

test('a token sees private repositories, and a revoked one nothing', async () => {
  const { knex } = database;
  await knex('projects').where({ name: 'hello' }).update({ private: true });
  expect((await ask('GET', '/projects/acme/hello')).statusCode).toBe(404);
  expect((await ask('GET', '/projects/acme/hello', reader)).json()).toMatchObject({ private: true });
  await knex('projects').where({ name: 'hello' }).update({ private: false });
  const made = await ask('POST', '/tokens', admin, { name: 'short-lived' });
  expect(made.statusCode).toBe(201);
  const { id, token, scope } = made.json();
  expect(scope).toBe('read');
  expect(token).toMatch(/^rmt_[\w-]{43}$/);
  expect(JSON.stringify(await knex('api_tokens'))).not.toContain(token);
  expect((await ask('GET', '/projects', token)).statusCode).toBe(200);
  expect((await ask('DELETE', `/tokens/${id}`, admin)).statusCode).toBe(204);
  expect((await ask('GET', '/projects', token)).json()).toMatchObject({ code: 'bad-token' });
  const listed = (await ask('GET', '/tokens', admin)).json().items;
  expect(listed.at(-1)).toMatchObject({ id, name: 'short-lived', revokedAt: expect.any(String) });
  expect(JSON.stringify(listed)).not.toContain(token);
});

test('builds and evaluations are cancelled, bumped and tried again', async () => {
  const { knex } = database;
  const [queued] = await knex('builds').where({ state: 'queued' }).pluck('id');
  expect((await ask('POST', `/builds/${queued}/bump`, admin)).json()).toEqual({ id: queued, bumped: 1 });
  expect((await ask('POST', `/builds/${queued}/restart`, admin)).json()).toMatchObject({
    status: 409,
    code: 'build-unfinished',
  });
  expect((await ask('POST', `/builds/${queued}/cancel`, admin)).json()).toEqual({
    id: queued,
    cancelled: true,
  });
  expect((await ask('POST', `/builds/${queued}/cancel`, admin)).json()).toEqual({
    id: queued,
    cancelled: false,
  });
  const [open] = await knex('evaluations').whereNull('finished_at').orderBy('id').pluck('id');
  const before = told;
  expect((await ask('POST', `/evaluations/${open}/cancel`, admin)).json()).toEqual({
    id: open,
    cancelled: true,
  });
  expect(told).toBeGreaterThan(before);
  const failed = await knex('builds')
    .where({ state: 'failed' })
    .join('jobs', 'jobs.build_id', 'builds.id')
    .first('builds.*');
  const restarted = (await ask('POST', `/builds/${failed.id}/restart`, admin)).json();
  expect(restarted.evaluationIds).toHaveLength(1);
  expect(await knex('forgotten_failures').pluck('drv_path')).toEqual([failed.drv_path]);
  const builder = await knex('builders').first();
  expect((await ask('POST', `/builders/${builder.id}/disable`, admin)).json()).toEqual({
    id: builder.id,
    changed: 'disable',
  });
  expect(await knex('builders').where({ id: builder.id }).first()).toMatchObject({ enabled: false });
  expect((await ask('POST', '/builders/999999/drain', admin)).statusCode).toBe(404);
  expect((await ask('POST', '/builds/999999/cancel', admin)).statusCode).toBe(404);
  expect((await ask('POST', '/builds/999999/restart', admin)).statusCode).toBe(404);
});
