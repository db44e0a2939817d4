import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { createAuthorize, createIsResult, createMayUpload } from './identity.ts';

const path = (name: string) => `/nix/store/${'0'.repeat(32)}-${name}`;
const hashOf = (token: string) => createHash('sha256').update(token).digest();

let database: TestDatabase;
let builderId: number;

beforeAll(async () => {
  database = await createTestDatabase();
  const db = database.knex;
  const agent = { kind: 'agent', systems: ['x86_64-linux'], slots: 1, source: 'api' };
  const [builder] = await db('builders')
    .insert({ ...agent, name: 'mars', token_hash: hashOf('of mars') })
    .returning('id');
  builderId = Number(builder.id);
  await db('builders').insert({
    ...agent,
    name: 'gone',
    token_hash: hashOf('of gone'),
    removed_at: new Date(),
  });
  await db('api_tokens').insert([
    { name: 'ops', scope: 'admin', token_hash: hashOf('for all') },
    { name: 'laptop', scope: 'read', token_hash: hashOf('for reading') },
    { name: 'lost', scope: 'admin', token_hash: hashOf('revoked'), revoked_at: new Date() },
  ]);
  const build = async (name: string, state: string) => {
    const row = {
      drv_path: path(`${name}.drv`),
      name,
      system: 'x86_64-linux',
      outputs: { out: path(name) },
      state,
    };
    const [made] = await db('builds').insert(row).returning('id');
    return Number(made.id);
  };
  const running = await build('running', 'building');
  const done = await build('done', 'succeeded');
  const checked = await build('checked', 'succeeded');
  const [check] = await db('build_checks').insert({ build_id: checked, asked_by: 'me' }).returning('id');
  const attempt = { builder: 'mars', builder_id: builderId };
  await db('attempts').insert([
    { ...attempt, build_id: running, state: 'running' },
    { ...attempt, build_id: done, state: 'ended' },
    { ...attempt, build_id: checked, state: 'running', check_id: check.id },
  ]);
});
afterAll(() => database.drop());

test('tokens of agents and of the API are known until they are revoked', async () => {
  const authorize = createAuthorize(database.knex);
  expect(await authorize('of mars')).toEqual({ kind: 'agent', builderId });
  expect(await authorize('for all')).toMatchObject({ kind: 'token', scope: 'admin' });
  expect(await authorize('for reading')).toMatchObject({ kind: 'token', scope: 'read' });
  for (const token of ['revoked', 'of gone', 'never heard of', ''])
    expect(await authorize(token)).toBeUndefined();
  const used = await database.knex('api_tokens').whereNotNull('last_used_at').pluck('name');
  expect(used.sort()).toEqual(['laptop', 'ops']);
});

test('a revoked token is believed for seconds at most', async () => {
  let now = 0;
  const authorize = createAuthorize(database.knex, () => now);
  await database.knex('api_tokens').insert({ name: 'short', scope: 'read', token_hash: hashOf('short') });
  expect(await authorize('short')).toBeDefined();
  await database.knex('api_tokens').where({ name: 'short' }).update({ revoked_at: new Date() });
  now = 5_001;
  expect(await authorize('short')).toBeUndefined();
});

test('an agent may upload what it builds now, and a token what its scope allows', async () => {
  const mayUpload = createMayUpload(database.knex);
  const agent = { kind: 'agent', builderId } as const;
  expect(await mayUpload(agent, path('running'))).toBe(true);
  expect(await mayUpload(agent, path('done'))).toBe(false);
  expect(await mayUpload(agent, path('checked')), 'built again only to compare').toBe(false);
  expect(await mayUpload(agent, path('other'))).toBe(false);
  expect(await mayUpload({ kind: 'agent', builderId: builderId + 100 }, path('running'))).toBe(false);
  expect(await mayUpload({ kind: 'token', id: 1, scope: 'admin' }, path('other'))).toBe(true);
  expect(await mayUpload({ kind: 'token', id: 2, scope: 'read' }, path('running'))).toBe(false);
});

test('an output of a build that succeeded is a result', async () => {
  const isResult = createIsResult(database.knex);
  expect(await isResult(path('done'), path('done.drv'))).toBe(true);
  expect(await isResult(path('running'), path('running.drv'))).toBe(false);
  expect(await isResult(path('other'), path('done.drv'))).toBe(false);
});
