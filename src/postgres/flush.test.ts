import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { type Database, openDatabase } from './database.ts';
import { createFlush } from './flush.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

let database: TestDatabase;
let quick: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  quick = await openDatabase(database.url, silentLogger(), { asynchronousCommits: true });
});
afterAll(async () => {
  await quick.close();
  await database.drop();
});

test('what was committed without waiting for the disk is there after a flush', async () => {
  const { knex } = quick;
  expect((await knex.raw('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'off' }]);
  const flush = createFlush(knex);
  await knex.raw('CREATE TABLE noted (id int)');
  await Promise.all(
    Array.from({ length: 20 }, async (_, id) => {
      await knex.raw('INSERT INTO noted VALUES (?)', [id]);
      const { rows } = await knex.raw('SELECT pg_current_wal_insert_lsn() AS at');
      await flush();
      const flushed = await knex.raw('SELECT pg_current_wal_flush_lsn() >= ?::pg_lsn AS there', [rows[0].at]);
      expect(flushed.rows).toEqual([{ there: true }]);
    }),
  );
  // Only for the flush itself: it leaves no setting behind.
  expect((await knex.raw('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'off' }]);
});

test('a flush that fails says so, and the next one works', async () => {
  const gone = await openDatabase(database.url, silentLogger(), { asynchronousCommits: true });
  const flush = createFlush(gone.knex);
  await flush();
  await gone.close();
  await expect(flush()).rejects.toThrow();
  await createFlush(quick.knex)();
});
