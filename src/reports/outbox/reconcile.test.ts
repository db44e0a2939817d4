import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { createTestOutbox } from './test-outbox.ts';

let database: TestDatabase;
let outbox: Awaited<ReturnType<typeof createTestOutbox>>;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  outbox = await createTestOutbox(database.knex);
});
afterAll(() => database.drop());

/** A revision of one attribute that is over and told. */
async function told() {
  const revision = await outbox.newRevision(['a']);
  await outbox.finish(revision);
  await revision.plan();
  await outbox.send();
  expect(await outbox.unsent()).toBe(0);
}

describe('looking at what stands on GitHub', () => {
  it('changes nothing where all is as it should be', async () => {
    await told();
    const calls = outbox.github.calls.length;
    expect(await outbox.reconcile()).toBe(0);
    await outbox.send();
    expect(outbox.github.calls.length).toBe(calls);
  });

  it('makes a run anew that somebody deleted', async () => {
    await told();
    const [gate] = outbox.github.runsNamed('ringmaster');
    outbox.github.removeRun(gate?.id ?? 0);
    expect(await outbox.reconcile()).toBe(1);
    await outbox.send();
    expect(outbox.last('ringmaster')).toMatchObject({ status: 'completed', conclusion: 'success' });
    expect(outbox.github.runsNamed('ringmaster')[0]?.externalId).not.toBe(gate?.externalId);
  });

  it('says the last word again where GitHub has another one', async () => {
    await told();
    const run = outbox.github.runs.find(({ versions }) => versions.at(-1)?.name === 'ringmaster / a');
    const last = run?.versions.at(-1);
    if (!run || !last) throw new Error('no run');
    // As after a write that arrived late.
    Object.assign(run, {
      versions: [...run.versions, { ...last, status: 'in_progress', conclusion: undefined }],
    });
    expect(await outbox.reconcile()).toBe(1);
    await outbox.send();
    expect(outbox.last('ringmaster / a')).toMatchObject({ status: 'completed', conclusion: 'success' });
  });

  it('leaves alone what is still to be sent', async () => {
    const revision = await outbox.newRevision(['a']);
    await revision.plan();
    expect(await outbox.reconcile()).toBe(0);
  });

  it('does not let a commit that cannot be read keep the others from their turn', async () => {
    await told();
    await outbox.reconcile(async () => ({ kind: 'failed', reason: 'Not Found' }));
    const waiting: unknown[] = await database.knex('revisions').whereNull('reconciled_at');
    expect(waiting).toEqual([]);
  });
});
