import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { sweepReports } from './sweep.ts';
import { noAnswer } from './test-github.ts';
import { createTestOutbox, second } from './test-outbox.ts';

let database: TestDatabase;
let outbox: Awaited<ReturnType<typeof createTestOutbox>>;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  outbox = await createTestOutbox(database.knex);
});
afterAll(() => database.drop());

describe('the sweep', () => {
  it('plans what is over but not reported so, and wakes the sending of what is unsent', async () => {
    const revision = await outbox.newRevision(['a']);
    await revision.plan();
    await outbox.finish(revision);
    await database
      .knex('evaluations')
      .update({ finished_at: new Date(outbox.now().getTime() - 3600 * second) });
    await database.knex.raw('DELETE FROM graphile_worker._private_jobs');
    expect(await sweepReports(database.knex)).toEqual({ plannedRevisions: 1, wokenInstallations: 1 });
    const result: unknown = await database.knex.raw(
      'SELECT task_identifier FROM graphile_worker.jobs ORDER BY 1',
    );
    expect(result).toMatchObject({
      rows: [{ task_identifier: 'plan-report' }, { task_identifier: 'send-reports' }],
    });
  });

  it('leaves alone what a task will see to in its own time', async () => {
    const revision = await outbox.newRevision(['a']);
    await revision.plan();
    outbox.github.inject(() => ({ kind: 'answer', result: noAnswer }));
    await outbox.send();
    expect(await sweepReports(database.knex)).toEqual({ plannedRevisions: 0, wokenInstallations: 0 });
  });

  it('plans a revision that never got a gate', async () => {
    const revision = await outbox.newRevision([]);
    expect((await sweepReports(database.knex)).plannedRevisions).toBe(0);
    await database
      .knex('revisions')
      .where('id', revision.id)
      .update({ created_at: new Date(outbox.now().getTime() - 3600 * second) });
    expect((await sweepReports(database.knex)).plannedRevisions).toBe(1);
  });
});
