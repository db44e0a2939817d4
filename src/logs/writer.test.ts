import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { readLog } from './read.ts';
import { type LogWriter, openLogWriter } from './writer.ts';

let database: TestDatabase;
let attemptId: number;
let writer: LogWriter;

beforeAll(async () => {
  database = await createTestDatabase();
  // What an unreachable or full database answers, switched on and off.
  await database.knex.raw(`
    CREATE TABLE away (code text);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF EXISTS (SELECT FROM away) THEN
           RAISE EXCEPTION 'away' USING errcode = (SELECT code FROM away LIMIT 1);
         END IF; RETURN NEW; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON log_chunks FOR EACH ROW EXECUTE FUNCTION refuse()`);
});
afterAll(() => database.drop());

beforeEach(async () => {
  await database.knex('away').delete();
  const [build] = await database
    .knex('builds')
    .insert({ drv_path: `/${crypto.randomUUID()}.drv`, name: 'a', system: 's', state: 'building' })
    .returning('id');
  const [attempt] = await database
    .knex('attempts')
    .insert({ build_id: build.id, builder: 'here' })
    .returning('id');
  attemptId = attempt.id;
  writer = openLogWriter({ db: database.knex, attemptId, log: silentLogger() });
});

test('lines come out as they went in, whatever bytes they hold', async () => {
  const lines = ['begun', '', 'a\0b \u{fffd}', 'é'.repeat(200_000)];
  for (const line of lines) writer.line(Buffer.from(line));
  await writer.finish();
  expect(await wholeLog()).toBe(`${lines.join('\n')}\n`);
});

test('of a line that does not end the beginning is kept, and how much more there was', async () => {
  writer.line(Buffer.alloc(20 * 1024 * 1024, '.'));
  writer.line(Buffer.from('done'));
  await writer.finish();
  const [first = '', second] = (await wholeLog()).split('\n');
  expect(first.length).toBeLessThan(4.1 * 1024 * 1024);
  expect(first).toMatch(/\.… ringmaster: 16777216 more bytes of this line were not kept$/);
  expect(second).toBe('done');
});

test.each([
  ['57P01', 'away'],
  ['53100', 'full'],
])('what is printed while the database answers %s is written when it is not %s any more', async (code) => {
  writer.line(Buffer.from('before'));
  await database.knex('away').insert({ code });
  for (let line = 0; line < 400_000; line += 1) writer.line(Buffer.alloc(0));
  const finished = writer.finish();
  await database.knex('away').delete();
  await finished;
  const lines = (await wholeLog()).split('\n');
  expect(lines[0]).toBe('before');
  // Empty lines take memory, too, so not all were kept, and the log says so.
  expect(lines.length).toBeLessThan(400_000);
  expect(lines.at(-2)).toMatch(/^ringmaster: \d+ lines were dropped/);
});

test('a log whose attempt is gone keeps nobody waiting', async () => {
  await database.knex('attempts').where({ id: attemptId }).delete();
  writer.line(Buffer.from('to nobody'));
  await writer.finish();
  expect(await wholeLog()).toBe('');
});

async function wholeLog(): Promise<string> {
  const slice = await readLog(database.knex, attemptId, { fromByte: 0, maxBytes: 2 ** 26 });
  expect(slice.complete).toBe(true);
  return slice.bytes.toString('utf8');
}
