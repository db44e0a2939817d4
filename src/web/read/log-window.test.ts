import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAttempt, insert } from '../../../test/support/seed-rows.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { type AttemptRow, readAttempt } from './builds.ts';
import { readLogWindow } from './log-window.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const reader = () => ({ db: database.knex, showPrivate: false });

/** An attempt whose log has these lines. */
async function logOf(lines: readonly string[]): Promise<AttemptRow> {
  const buildId = await insert(database.knex, 'builds', {
    drv_path: `/nix/store/${lines.length}.drv`,
    name: 'x',
    system: 'x86_64-linux',
    state: 'succeeded',
    finished_at: new Date(),
  });
  const attempt = await readAttempt(reader(), await addAttempt(database.knex, buildId, lines));
  if (!attempt) throw new Error('the attempt is gone');
  return attempt;
}

const numbered = (lines: number, padding: number) =>
  Array.from({ length: lines }, (_, index) => `${index + 1} ${'x'.repeat(padding)}`);

function numbers(bytes: Buffer): [string | undefined, string | undefined] {
  const lines = bytes.toString('utf8').trimEnd().split('\n');
  return [lines[0]?.split(' ')[0], lines.at(-1)?.split(' ')[0]];
}

describe('a stretch of a long log', () => {
  it('is its end, unless a line is asked for', async () => {
    const attempt = await logOf(numbered(5_300, 3));
    const end = await readLogWindow(reader(), attempt, undefined);
    expect([end.firstLine, ...numbers(end.bytes)]).toEqual([3_301, '3301', '5300']);
    expect(end).toMatchObject({ reachesEnd: true, nextByte: attempt.log_bytes });
    const middle = await readLogWindow(reader(), attempt, 2_345);
    expect([middle.firstLine, ...numbers(middle.bytes), middle.reachesEnd]).toEqual([
      2_001,
      '2001',
      '4000',
      false,
    ]);
  });

  it('still reaches the end and any line when lines are very long', async () => {
    const attempt = await logOf(numbered(2_800, 2_000));
    const end = await readLogWindow(reader(), attempt, undefined);
    expect(numbers(end.bytes)[1]).toBe('2800');
    expect(numbers(end.bytes)[0]).toBe(String(end.firstLine));
    expect(end.bytes.length).toBeLessThan(2 * 1024 * 1024);
    const middle = await readLogWindow(reader(), attempt, 1_900);
    expect([middle.firstLine, numbers(middle.bytes)[0]]).toEqual([1_900, '1900']);
  });

  it('of nothing is nothing', async () => {
    expect(await readLogWindow(reader(), await logOf([]), undefined)).toMatchObject({
      firstLine: 1,
      reachesEnd: true,
    });
  });

  it('past the end is the end', async () => {
    const window = await readLogWindow(reader(), await logOf(numbered(10, 1)), 99_999);
    expect(numbers(window.bytes)).toEqual(['1', '10']);
  });
});
