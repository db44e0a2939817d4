/** Whose the store's paths are. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { PathInfo } from '../../nix/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { createProvenance, forgetOldPaths } from './provenance.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const info: PathInfo = {
  deriver: undefined,
  narHash: '0'.repeat(64),
  narBytes: 1,
  references: new Set(),
  registeredAt: new Date(0),
  ultimate: false,
  signatures: new Set(['public']),
  contentAddress: undefined,
};

/** A project's answers; nothing but `/public` is signed by a public cache. */
async function open(number: number, trusted = true) {
  const { knex } = database;
  await knex.raw(`INSERT INTO installations (id, account_login) VALUES (1, 'owner') ON CONFLICT DO NOTHING`);
  await knex.raw(
    `INSERT INTO projects (github_repository_id, installation_id, owner, name, default_branch, private)
     VALUES (?, 1, 'owner', ?, 'main', false) ON CONFLICT DO NOTHING`,
    [number, `name-${number}`],
  );
  const row: unknown = await knex('projects').select('id').where({ github_repository_id: number }).first();
  return createProvenance({
    db: knex,
    projectId: z.object({ id: z.coerce.number() }).parse(row).id,
    trusted,
    pathInfos: async (paths) => new Map(paths.filter((path) => path !== '/gone').map((path) => [path, info])),
    isPublic: (path, { signatures }) => path === '/public' && signatures.has('public'),
  });
}

test('a project may use what its evaluations added and what is public, and no other project may', async () => {
  const [mine, other] = [await open(1), await open(2)];
  await mine.remember(['/mine', '/mine', '/ours']);
  await other.remember(['/ours', '/theirs']);
  await mine.remember(['/mine']);
  const all = ['/mine', '/ours', '/theirs', '/public', '/gone'];
  expect([...(await mine.allowed(all))].sort()).toEqual(['/mine', '/ours', '/public']);
  expect([...(await other.allowed(all))].sort()).toEqual(['/ours', '/public', '/theirs']);
});

test('code of a project that is not trusted may not use what its trusted code fetched', async () => {
  const [trusted, untrusted] = [await open(3), await open(3, false)];
  await trusted.remember(['/private-input']);
  await untrusted.remember(['/from-a-fork']);
  const all = ['/private-input', '/from-a-fork'];
  expect([...(await untrusted.allowed(all))]).toEqual(['/from-a-fork']);
  expect([...(await trusted.allowed(all))]).toEqual(['/private-input']);
});

test('what no evaluation has used for long is forgotten, and what is used is not', async () => {
  const { knex } = database;
  const mine = await open(4);
  await mine.remember(['/used', '/unused']);
  const age = (days: number) =>
    knex('evaluated_paths').update({ seen_at: knex.raw('now() - make_interval(days => ?)', [days]) });
  await age(100);
  const later = await open(4);
  await later.allowed(['/used']);
  await later.remember([]);
  await forgetOldPaths(knex, 0);
  expect([...(await mine.allowed(['/used', '/unused']))].sort()).toEqual(['/unused', '/used']);
  await forgetOldPaths(knex, 90);
  expect([...(await mine.allowed(['/used', '/unused']))]).toEqual(['/used']);
  await age(401);
  await forgetOldPaths(knex, 0);
  expect(await knex('evaluated_paths')).toEqual([]);
});
