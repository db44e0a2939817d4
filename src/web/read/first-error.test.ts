import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAttempt, insert } from '../../../test/support/seed-rows.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { type AttemptRow, readAttempt } from './builds.ts';
import { createFirstErrors } from './first-error.ts';

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
    state: 'failed',
    finished_at: new Date(),
  });
  const attempt = await readAttempt(reader(), await addAttempt(database.knex, buildId, lines));
  if (!attempt) throw new Error('the attempt is gone');
  return attempt;
}

/** Number and text of the first line of the excerpt. */
async function firstError(lines: readonly string[]) {
  const found = await createFirstErrors(reader()).find(await logOf(lines));
  return found && [found.line, found.excerpt.toString('utf8').split('\n')[0]];
}

/** More than is read at once. */
const filler = Array.from({ length: 12_000 }, (_, index) => `${index} ${'x'.repeat(100)}`);

describe('the first error of a log that is read in pieces', () => {
  it('is shown as it stands there, also where phases after it have none', async () => {
    const lines = [
      'a.c:1:1: error: the first',
      ...filler,
      'Running phase: installPhase',
      'make: *** [all] Error 2',
      ...filler,
      'Running phase: fixupPhase',
      ...filler,
    ];
    expect(await firstError(lines)).toEqual([1, 'a.c:1:1: error: the first']);
  });

  it('has the number that the page gives its line, however long lines before it are', async () => {
    const lines = ['start', 'x'.repeat(3_500_000), 'a.c:1:1: error: after it'];
    expect(await firstError(lines)).toEqual([3, 'a.c:1:1: error: after it']);
  });

  it('is no end of a long line', async () => {
    const lines = [`${'x'.repeat(1024 * 1024)}error: data`, 'a.c:1:1: error: real'];
    expect(await firstError(lines)).toEqual([2, 'a.c:1:1: error: real']);
  });
});
