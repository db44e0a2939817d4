import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type SeededDashboard, seedDashboard } from '../../../test/support/seed-dashboard.ts';
import { webUnderTest } from '../../../test/support/web-under-test.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { createToken } from '../tokens.ts';

let database: TestDatabase;
let app: FastifyInstance;
let seeded: SeededDashboard;
let admin: string;
const changed: number[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  seeded = await seedDashboard(database.knex, 3);
  app = await webUnderTest(database, {
    onRevisionChanged: async (_trx, id) => {
      changed.push(id);
    },
  });
  admin = (await createToken(database.knex, { name: 'tests', scope: 'admin' })).secret;
});
afterAll(async () => {
  await app?.close();
  await database?.drop();
});

const authorization = () => ({ authorization: `Bearer ${admin}` });
const read = (path: string, headers = {}) => app.inject({ url: `/api/v1${path}`, headers });
const list = z.object({
  items: z.array(z.record(z.string(), z.unknown())),
  nextCursor: z.string().nullable().default(null),
});
const items = async (path: string, headers = {}) => list.parse((await read(path, headers)).json()).items;

test('search finds what the page finds, with addresses that lead there', async () => {
  const found = await items('/search?q=hello');
  expect(found).toContainEqual({
    ...{ kind: 'project', project: 'acme/hello', name: '', title: '', sha: null, path: null },
    url: 'https://ci.example.org/acme/hello',
  });
  const [commit] = await items(`/search?q=${seeded.shas.green}`);
  expect(commit).toMatchObject({ kind: 'revision', sha: seeded.shas.green });
  const hits = [...found, ...(await items('/search?q=main')), ...(await items('/search?q=test'))];
  const kinds = new Set(hits.map(({ kind }) => kind));
  expect([...kinds].sort()).toEqual(expect.arrayContaining(['attribute', 'branch', 'project']));
  for (const { url } of new Map(hits.map((hit) => [hit.kind, hit])).values()) {
    const page = await app.inject({ url: String(url).replace('https://ci.example.org', '') });
    expect({ url, status: page.statusCode < 400 }).toEqual({ url, status: true });
  }
  expect((await read('/search')).statusCode).toBe(400);
});

test('what visitors may not see is not found by search', async () => {
  expect(await items('/search?q=vault')).toEqual([]);
  expect(await items('/search?q=vault', authorization())).not.toEqual([]);
});

test('the history of an attribute is that of a branch, newest first, in pages', async () => {
  const [attribute] = await database.knex('jobs').where('build_id', seeded.failed.buildId).pluck('path');
  const name = z.array(z.string()).parse(attribute).join('.');
  const path = `/projects/acme/hello/attribute-history?attribute=${name}`;
  const all = await items(`${path}&limit=500`);
  expect(all.length).toBeGreaterThan(15);
  expect(all.map(({ state }) => state)).toEqual(expect.arrayContaining(['succeeded', 'failed']));
  const ids = all.map(({ evaluationId }) => Number(evaluationId));
  expect(ids).toEqual(ids.toSorted((a, b) => b - a));
  expect(all[0]).toMatchObject({ attribute: name, sha: expect.any(String), title: expect.any(String) });
  const paged: unknown[] = [];
  for (let url: string | undefined = `${path}&limit=4`; url !== undefined; ) {
    const page = list.parse((await read(url)).json());
    paged.push(...page.items);
    url = page.nextCursor === null ? undefined : `${path}&limit=4&cursor=${page.nextCursor}`;
  }
  expect(paged).toEqual(all);
  expect(await items(`${path}&branch=nowhere`)).toEqual([]);
  expect((await read(`${path.replace('hello', 'nothing')}`)).statusCode).toBe(404);
});

test('the latest result is the newest one that is there, and not a failure after it', async () => {
  const [attribute] = await database.knex('jobs').where('build_id', seeded.failed.buildId).pluck('path');
  const name = z.array(z.string()).parse(attribute).join('.');
  const ask = () => read(`/projects/acme/hello/latest?attribute=${name}`);
  const before = (await ask()).json();
  expect(before).toMatchObject({ attribute: name, outputs: { out: expect.any(String) } });
  await database.knex('builds').where({ id: before.buildId }).update({ state: 'failed' });
  const after = (await ask()).json();
  expect(after.evaluationId).toBeLessThan(before.evaluationId);
  await database.knex('builds').where({ id: before.buildId }).update({ state: 'succeeded' });
  expect((await read('/projects/acme/hello/latest?attribute=nothing')).statusCode).toBe(404);
  expect((await read('/projects/acme/hello/latest?attribute=~')).statusCode).not.toBe(500);
  expect((await read('/projects/acme/vault/latest?attribute=x')).statusCode).toBe(404);
});

test('an attribute of which only the dependencies are built has no result', async () => {
  const { knex } = database;
  const green = await knex('revisions').where({ sha: seeded.shas.green }).first('id');
  const evaluation = await knex('evaluations').where({ revision_id: green.id }).first('id');
  const job = { evaluation_id: evaluation.id, outputs: { out: '/nix/store/none' }, cached: true };
  await knex('jobs').insert({ ...job, path: ['shell'], mark: 'dependencies-only' });
  expect(await items('/projects/acme/hello/attribute-history?attribute=shell')).toHaveLength(1);
  expect((await read('/projects/acme/hello/latest?attribute=shell')).statusCode).toBe(404);
});

test('a commit is evaluated again, once at a time, and not without permission', async () => {
  const { id } = await database.knex('revisions').where({ sha: seeded.shas.red }).first();
  const rerun = (of: number, payload: object, headers = authorization()) =>
    app.inject({ method: 'POST', url: `/api/v1/revisions/${of}/rerun`, headers, payload });
  expect((await rerun(id, {}, { authorization: '' })).statusCode).toBe(401);
  const started = await rerun(id, { scope: 'failed', pattern: '*' });
  expect(started.statusCode).toBe(202);
  const { evaluationId, attributes } = started.json();
  expect(attributes).toBeGreaterThan(0);
  expect(await database.knex('evaluations').where({ id: evaluationId }).first()).toMatchObject({
    revision_id: id,
    state: 'queued',
  });
  expect(changed).toContain(id);
  expect((await rerun(id, {})).json()).toMatchObject({ status: 409, code: 'under-way' });
  const green = await database.knex('revisions').where({ sha: seeded.shas.green }).first();
  expect((await rerun(green.id, { scope: 'failed' })).json()).toMatchObject({ code: 'nothing-failed' });
  const stranger = await database.knex('revisions').where({ sha: seeded.shas.approval }).first();
  expect((await rerun(stranger.id, {})).json()).toMatchObject({ code: 'needs-approval' });
  expect((await rerun(999_999, {})).statusCode).toBe(404);
});
