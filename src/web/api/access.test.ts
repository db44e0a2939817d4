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

function ask(
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  token?: string,
  body?: object,
) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return app.inject({ method, url: `/api/v1${path}`, headers, ...(body ? { payload: body } : {}) });
}

test('what changes things needs a token of the scope admin', async () => {
  const { id } = await database.knex('builds').first();
  const paths = [
    `/builds/${id}/cancel`,
    `/builds/${id}/bump`,
    `/builds/${id}/restart`,
    `/builds/${id}/check`,
    '/evaluations/1/cancel',
  ];
  const others = [
    '/tokens',
    '/builders',
    '/builders/1/token',
    '/builders/1/drain',
    '/projects/acme/hello/disable',
  ];
  for (const path of [...paths, ...others]) {
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
  expect((await ask('POST', '/builds/999999/cancel', admin)).statusCode).toBe(404);
  expect((await ask('POST', '/builds/999999/restart', admin)).statusCode).toBe(404);
});

test('results are kept until they are let go', async () => {
  const { knex } = database;
  const [id] = await knex('builds').where({ state: 'succeeded', inputs_only: false }).pluck('id');
  const path = '/nix/store/x';
  await knex('builds')
    .where({ id })
    .update({ outputs: { out: path } });
  expect((await ask('PUT', `/builds/${id}/keep`, reader)).statusCode).toBe(403);
  const { keptAt } = (await ask('PUT', `/builds/${id}/keep`, admin)).json();
  expect((await ask('PUT', `/builds/${id}/keep`, admin)).json()).toEqual({ id, keptAt });
  expect((await ask('GET', `/builds/${id}`)).json()).toMatchObject({ keptAt });
  expect((await ask('DELETE', `/builds/${id}/keep`, admin)).statusCode).toBe(204);
  expect((await ask('GET', `/builds/${id}`)).json()).toMatchObject({ keptAt: null });
  const [bad] = await knex('builds').where({ state: 'failed' }).pluck('id');
  expect((await ask('PUT', `/builds/${bad}/keep`, admin)).json()).toMatchObject({ code: 'build-bad-end' });
  expect((await ask('PUT', '/builds/999999/keep', admin)).statusCode).toBe(404);
});

test('what succeeded is built again on demand, to compare, and can be called off', async () => {
  const { knex } = database;
  const [id] = await knex('builds').where({ state: 'succeeded', inputs_only: false }).pluck('id');
  await knex('builds')
    .where({ id })
    .update({ outputs: { out: '/nix/store/x' } });
  const asked = await ask('POST', `/builds/${id}/check`, admin);
  expect(asked.statusCode).toBe(202);
  const { checkId } = asked.json();
  expect((await ask('POST', `/builds/${id}/check`, admin)).json()).toEqual({ id, checkId });
  expect((await ask('GET', `/builds/${id}`)).json()).toMatchObject({
    state: 'succeeded',
    checks: [{ id: checkId, state: 'waiting', askedBy: 'the API', attemptId: null }],
  });
  expect((await ask('DELETE', `/builds/${id}/check`, admin)).json()).toEqual({ id, cancelled: true });
  expect((await ask('DELETE', `/builds/${id}/check`, admin)).json()).toEqual({ id, cancelled: false });
  const [bad] = await knex('builds').where({ state: 'failed' }).pluck('id');
  expect((await ask('POST', `/builds/${bad}/check`, admin)).json()).toMatchObject({
    status: 409,
    code: 'build-bad-end',
  });
  expect((await ask('POST', '/builds/999999/check', admin)).statusCode).toBe(404);
});

test('machines are registered, changed, given a new token and removed', async () => {
  const made = await ask('POST', '/builders', admin, { name: 'mars', slots: 8, mandatoryFeatures: ['kvm'] });
  expect(made.statusCode).toBe(201);
  const { id, token, ...shown } = made.json();
  expect(made.headers).toMatchObject({ location: `/api/v1/builders/${id}`, 'cache-control': 'no-store' });
  expect(token).toMatch(/^\S{40,}$/);
  expect(shown).toMatchObject({ kind: 'agent', health: 'never connected', mandatoryFeatures: ['kvm'] });
  expect((await ask('GET', `/builders/${id}`)).body).not.toContain(token);
  const renewed = (await ask('POST', `/builders/${id}/token`, admin)).json();
  expect(renewed.token).not.toBe(token);
  expect((await ask('POST', '/builders', admin, { name: 'mars' })).json()).toMatchObject({
    status: 409,
    code: 'builder-exists',
  });
  for (const wrong of [{ name: '../mars' }, { name: 'x', uri: 'http://x' }, { name: 'x', slots: 0 }, {}]) {
    expect((await ask('POST', '/builders', admin, wrong)).statusCode, JSON.stringify(wrong)).toBe(400);
  }
  const change = async (wishes: object) => (await ask('PATCH', `/builders/${id}`, admin, wishes)).json();
  expect(await change({ draining: true, speed: 2 })).toMatchObject({ health: 'draining', speed: 2 });
  expect(await change({ enabled: false })).toMatchObject({ health: 'disabled' });
  expect(await change({ enabled: true })).toMatchObject({ health: 'never connected', draining: false });
  expect(await change({})).toMatchObject({ status: 400 });
  expect(await change({ slots: 0 })).toMatchObject({ status: 400 });
  expect(await change({ systems: ['not a system'] })).toMatchObject({ code: 'builder-invalid' });
  // It has not connected yet: it has what it may have.
  expect(await change({ slots: 3, systems: ['x86_64-linux'] })).toMatchObject({
    slots: 3,
    systems: ['x86_64-linux'],
    enabled: true,
  });
  await database
    .knex('builders')
    .where({ id })
    .update({
      claims: JSON.stringify({ systems: ['x86_64-linux', 'i686-linux'], features: ['kvm'], slots: 4 }),
    });
  expect(await change({ slots: 9, systems: null }), 'what it tells is the most').toMatchObject({
    slots: 4,
    systems: ['x86_64-linux', 'i686-linux'],
  });
  expect((await ask('POST', `/builders/${id}/disable`, admin)).json()).toEqual({ id, changed: 'disable' });
  expect((await ask('DELETE', `/builders/${id}`, admin)).statusCode).toBe(204);
  for (const [method, path] of [
    ['GET', ''],
    ['PATCH', ''],
    ['DELETE', ''],
    ['POST', '/token'],
    ['POST', '/drain'],
  ] as const) {
    const body = method === 'PATCH' ? { enabled: true } : undefined;
    expect((await ask(method, `/builders/${id}${path}`, admin, body)).statusCode).toBe(404);
  }
});

test('of an SSH machine its address is told to bearers of a token alone, and it has no token', async () => {
  const uri = 'ssh-ng://nix@venus';
  const body = { name: 'venus', uri, systems: ['aarch64-linux'] };
  const { id, token } = (await ask('POST', '/builders', admin, body)).json();
  expect(token).toBeNull();
  expect((await ask('GET', `/builders/${id}`)).json()).toMatchObject({ uri: null, kind: 'ssh' });
  expect((await ask('GET', `/builders/${id}`, reader)).json()).toMatchObject({ uri, health: 'away' });
  expect((await ask('POST', `/builders/${id}/token`, admin)).json()).toMatchObject({ code: 'not-an-agent' });
  const change = async (wishes: object) => (await ask('PATCH', `/builders/${id}`, admin, wishes)).json();
  const wishes = {
    slots: 6,
    features: ['big-parallel'],
    mandatoryFeatures: ['kvm'],
    trustDomains: ['a', 'b'],
  };
  expect(await change(wishes)).toMatchObject({ ...wishes, features: ['big-parallel', 'kvm'] });
  expect(await change({ mandatoryFeatures: [] })).toMatchObject({ slots: 6, features: ['big-parallel'] });
  expect(await change({ systems: null })).toMatchObject({ status: 400, code: 'builder-invalid' });
  await database.knex('builders').where({ id }).update({ source: 'config' });
  const refused = await change({ slots: 2, enabled: false });
  expect(refused).toMatchObject({ status: 409, code: 'builder-described-elsewhere' });
  expect(refused.detail ?? refused.title).toContain('configuration file');
  expect((await ask('GET', `/builders/${id}`)).json()).toMatchObject({ slots: 6, enabled: true });
});

test('a project is paused and goes on', async () => {
  expect((await ask('POST', '/projects/acme/nothing/disable', admin)).statusCode).toBe(404);
  const paused = (await ask('POST', '/projects/ACME/hello/disable', admin)).json();
  expect(paused).toMatchObject({ name: 'hello', enabled: false, pausedAt: expect.any(String) });
  const page = (await app.inject('/acme/hello')).body;
  expect(page).toContain('An operator has paused this project.');
  expect(page).toContain('ringmaster project enable acme/hello');
  const on = (await ask('POST', '/projects/acme/hello/enable', admin)).json();
  expect(on).toMatchObject({ enabled: true, pausedAt: null });
  expect((await app.inject('/acme/hello')).body).not.toContain('has paused');
});
