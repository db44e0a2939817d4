/** GitHub's own recordings of every variety of the events that are handled. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { handledEvents } from './handlers.ts';
import { newId, testDeliveries } from './test-deliveries.ts';

let database: TestDatabase;
const { process } = testDeliveries(() => database.knex);

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const anything = z.record(z.string(), z.unknown());
const recorded = z
  .array(z.object({ name: z.string(), examples: z.array(anything) }))
  .parse(
    JSON.parse(
      readFileSync(
        createRequire(import.meta.url).resolve('@octokit/webhooks-examples/api.github.com/index.json'),
        'utf8',
      ),
    ),
  );

describe('recorded deliveries of GitHub', () => {
  const handled = recorded.filter(({ name }) => handledEvents.has(name));
  const cases = handled.flatMap(({ name, examples }) =>
    examples.map((payload, index) => ({ name, index, action: String(payload.action ?? ''), payload })),
  );

  test('are there for every event that is handled', () => {
    expect(handled.map(({ name }) => name).sort()).toEqual([...handledEvents].sort());
    expect(cases.length).toBeGreaterThan(50);
  });

  /** The same message about a repository and an installation of their own: the recordings share theirs. */
  function renumbered(payload: Record<string, unknown>, installed: boolean): Record<string, unknown> {
    const about = z.object({ repository: z.object({ id: z.number() }) }).safeParse(payload);
    const text = JSON.stringify(payload);
    const copy = anything.parse(
      JSON.parse(
        about.success ? text.replaceAll(`"id":${about.data.repository.id},`, `"id":${newId()},`) : text,
      ),
    );
    const installation = anything.optional().parse(copy.installation);
    if (!installation && !installed) return copy;
    return { ...copy, installation: { ...installation, id: newId() } };
  }

  test.each(cases)('$name $action ($index) is understood and processed', async ({ name, payload }) => {
    for (const installed of [false, true]) {
      const done = await process(name, renumbered(payload, installed));
      expect(done).toMatchObject({ thrown: undefined, error: null, processed: true });
      expect(done.outcome).not.toBe('');
    }
  });
});
