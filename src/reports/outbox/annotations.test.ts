import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
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

describe('annotations', () => {
  async function withErrors(count: number) {
    const revision = await outbox.newRevision([], {
      state: 'failed',
      finished_at: outbox.now(),
      error_count: count,
    });
    await database.knex('jobs').insert(
      Array.from({ length: count }, (_, index) => ({
        evaluation_id: revision.evaluation,
        path: [`e${String(index).padStart(3, '0')}`],
        error: `error ${index}`,
        error_file: 'ci.nix',
        error_line: index + 1,
      })),
    );
    return revision;
  }
  const lines = () =>
    outbox.github.runsNamed('ringmaster / evaluation')[0]?.annotations.map(({ startLine }) => startLine);
  const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

  it('arrive in batches of 50, each once', async () => {
    await (await withErrors(120)).plan();
    await outbox.send();
    expect(lines()).toEqual(upTo(120));
    const calls = outbox.github.calls.filter((call) => call.name === 'ringmaster / evaluation');
    expect(calls).toHaveLength(3);
  });

  it('arrive once although the answers to their calls were lost', async () => {
    await (await withErrors(120)).plan();
    const lost = new Set<string>();
    outbox.github.inject((call) => {
      if (call.name !== 'ringmaster / evaluation' || call.method === 'findCheck' || lost.has(call.method))
        return undefined;
      lost.add(call.method);
      return { kind: 'lost-answer' };
    });
    for (let round = 0; round < 10 && (await outbox.unsent()) > 0; round++) {
      await outbox.send();
      outbox.pass(60 * second);
    }
    expect(lost).toEqual(new Set(['createCheck', 'updateCheck']));
    expect(lines()).toEqual(upTo(120));
    expect(outbox.github.runsNamed('ringmaster / evaluation')).toHaveLength(1);
  });
});
