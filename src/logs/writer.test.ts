import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { packLogs } from './pack.ts';
import { readPhases } from './phases.ts';
import { readLog, tailLog } from './read.ts';
import { secretsOf } from './redactor.ts';
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

test('a log that is over takes less room, and every range of it reads as before', async () => {
  const lines = Array.from({ length: 30_000 }, (_, line) => `line ${line} of many`);
  for (const [index, line] of lines.entries()) {
    writer.line(Buffer.from(line));
    // Several pieces, as a build makes that takes a while.
    if (index % 5_000 === 0) await new Promise(setImmediate);
  }
  await writer.finish();
  const { knex } = database;
  const size = async () =>
    (await knex('log_chunks').where({ attempt_id: attemptId }).select('bytes')).reduce(
      (sum, row) => sum + row.bytes.length,
      0,
    );
  const before = await size();
  expect(await packLogs(knex, 1_000), 'one that runs may still grow').toBe(0);
  await knex('attempts').update({ state: 'ended' });
  expect(await packLogs(knex, 1_000)).toBeGreaterThan(0);
  const after = await size();
  expect(after).toBeLessThan(before / 4);
  const text = await wholeLog();
  expect(text).toBe(`${lines.join('\n')}\n`);
  for (const [fromByte, maxBytes] of [
    [0, 10],
    [131_060, 50],
    [300_000, 16_384],
    [text.length - 5, 99],
  ] as const) {
    const { bytes } = await readLog(knex, attemptId, { fromByte, maxBytes });
    expect(bytes.toString()).toBe(text.slice(fromByte, fromByte + maxBytes));
  }
  const tail = await tailLog(knex, attemptId, { lines: 1, maxBytes: 1_000 });
  expect(tail).toEqual({ lines: ['line 29999 of many'], totalLines: 30_000 });
  expect(await packLogs(knex, 1_000), 'once').toBe(0);
});

test('phases are marked at the line that comes after their beginning', async () => {
  writer.phase('unpackPhase');
  writer.line(Buffer.from('one'));
  writer.line(Buffer.from('two'));
  writer.phase('build\0Phase');
  writer.line(Buffer.from('three'));
  await writer.finish();
  expect(await readPhases(database.knex, [attemptId])).toEqual([
    { attemptId, name: 'unpackPhase', line: 0, position: 0 },
    { attemptId, name: 'build\u{fffd}Phase', line: 2, position: 8 },
  ]);
  expect(await database.knex('attempts').where({ id: attemptId }).pluck('phase')).toEqual([
    'build\u{fffd}Phase',
  ]);
});

test('secrets are not in the log, those that came later neither', async () => {
  const known = ['first-secret'];
  const secrets = () => secretsOf(known);
  const redacting = openLogWriter({ db: database.knex, attemptId, secrets, log: silentLogger() });
  redacting.line(Buffer.from('a first-secret, second-secret'));
  known.push('second-secret');
  redacting.line(Buffer.from('b first-secret, second-secret'));
  await redacting.finish();
  expect(await wholeLog()).toBe('a ***, second-secret\nb ***, ***\n');
});

async function wholeLog(): Promise<string> {
  const slice = await readLog(database.knex, attemptId, { fromByte: 0, maxBytes: 2 ** 26 });
  expect(slice.complete).toBe(true);
  return slice.bytes.toString('utf8');
}
