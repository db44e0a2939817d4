import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { removeOldDeliveries } from './retention.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test('deliveries go 30 days after they were worked off, and never before they were', async () => {
  await database.knex.raw(
    `INSERT INTO deliveries (id, event, payload, received_at, processed_at)
     SELECT id, 'push', '{}', now() - received::interval, now() - processed::interval
     FROM (VALUES ('old', '31 days', '31 days'), ('waiting', '90 days', NULL),
                  ('late', '90 days', '1 day'), ('new', '29 days', '29 days'))
          AS d (id, received, processed)`,
  );
  expect(await removeOldDeliveries(database.knex)).toBe(1);
  expect(await removeOldDeliveries(database.knex)).toBe(0);
  expect((await database.knex('deliveries').pluck('id')).sort()).toEqual(['late', 'new', 'waiting']);
});
