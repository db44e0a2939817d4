/** A process that sends reports may die at any moment: nothing is lost, doubled or out of order. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { live, makeMortal, mortalTransport } from './test-mortality.ts';
import { createTestOutbox, second } from './test-outbox.ts';

let database: TestDatabase;
let makeImmortal: () => void;
let outbox: Awaited<ReturnType<typeof createTestOutbox>>;

beforeAll(async () => {
  database = await createTestDatabase();
  makeImmortal = makeMortal(database.knex);
  outbox = await createTestOutbox(database.knex, mortalTransport);
});
afterAll(async () => {
  makeImmortal();
  await database.drop();
});

/** More than fit into one call. */
const notices = Array.from({ length: 60 }, (_, line) => ({
  message: `warning ${line + 1}`,
  file: 'ci.nix',
  line: line + 1,
}));

/** Tells of one commit from its first sign to its end, by processes the first of which dies. */
async function tell(diesAt: number): Promise<{ readonly moments: number; readonly died: boolean }> {
  outbox.github.forget();
  // The writes of the last time do not count any more.
  outbox.pass(3600 * second);
  const { knex } = database;
  const revision = await outbox.newRevision(['a']);
  let moments = 0;
  let died = false;
  const send = async () => {
    outbox.pass(60 * second);
    const lived = await live(died ? Infinity : diesAt - moments, () => outbox.send());
    moments += lived.moments;
    if (!lived.died) return;
    died = true;
    outbox.restart();
    await outbox.send();
  };
  await revision.plan();
  await send();
  await knex('evaluations')
    .where({ id: revision.evaluation })
    .update({ notices: JSON.stringify(notices) });
  await outbox.finish(revision);
  await revision.plan();
  await send();
  return { moments, died };
}

const ranks = { queued: 0, in_progress: 1, completed: 2 } as const;

async function expectTruth(): Promise<void> {
  const { github } = outbox;
  expect(await outbox.unsent()).toBe(0);
  const names = ['ringmaster', 'ringmaster / a', 'ringmaster / evaluation'];
  // One run of each, no second.
  expect(github.runs.map((run) => run.versions[0]?.name).toSorted()).toEqual(names);
  for (const { versions } of github.runs) {
    const told = versions.map(({ status }) => ranks[status]);
    expect(told).toEqual(told.toSorted());
    expect(versions.at(-1)).toMatchObject({ status: 'completed', conclusion: 'success' });
  }
  // The gate is first to be there, and others are there before it ends.
  expect(github.history[0]).toMatchObject({ name: 'ringmaster' });
  const untilEnd = github.history.findIndex(
    ({ name, status }) => name === 'ringmaster' && status === 'completed',
  );
  expect(new Set(github.history.slice(0, untilEnd).map(({ name }) => name)).size).toBe(3);
  const annotations = github.runsNamed('ringmaster / evaluation')[0]?.annotations ?? [];
  expect(annotations.map(({ startLine }) => startLine)).toEqual(notices.map(({ line }) => line));
  // GitHub keeps every status it is given; one whose answer was lost may be there once more.
  const states = github.statuses.map(({ state }) => state);
  expect(states.filter((state, index) => state !== states[index - 1])).toEqual(['pending', 'success']);
  expect(states.length).toBeLessThanOrEqual(3);
}

it('tells the truth in the end, whichever statement or call a sender dies after', async () => {
  const { moments } = await tell(Infinity);
  await expectTruth();
  expect(moments).toBeGreaterThan(40);
  let deaths = 0;
  for (let diesAt = 1; diesAt <= moments; diesAt++) {
    if ((await tell(diesAt)).died) deaths++;
    await expectTruth().catch((cause: unknown) => {
      throw new Error(`after a death at moment ${diesAt} of ${moments}`, { cause });
    });
  }
  // Side by side calls may meet in another order the next time, with a statement more or less.
  expect(deaths).toBeGreaterThan(moments - 5);
}, 180_000);
