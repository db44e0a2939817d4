/** Failed builds, marked in the files that their logs speak of. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { silentLogger } from '../../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import type { Checkouts } from '../../projects/index.ts';
import { createTestOrigin, type TestOrigin } from '../../projects/test-origin.ts';
import { createPlaceFinder } from '../places/find-places.ts';
import { options } from '../plan/test-facts.ts';
import { planReport } from './plan-report.ts';
import { createTestOutbox, type TestRevision } from './test-outbox.ts';

let database: TestDatabase;
let origin: TestOrigin;
let outbox: Awaited<ReturnType<typeof createTestOutbox>>;
let checkouts: Pick<Checkouts, 'ask'>;
let sha: string;

beforeAll(async () => {
  database = await createTestDatabase();
  origin = await createTestOrigin();
  checkouts = origin.checkoutsOf(await origin.freshDataDir());
  sha = await origin.commit({
    'src/main.c': 'int main() {\n  x = 1;\n}\n',
    'one/twice.c': '1\n',
    'two/twice.c': '1\n',
  });
});
beforeEach(async () => {
  outbox = await createTestOutbox(database.knex);
});
afterAll(async () => {
  await origin.remove();
  await database.drop();
});

const log = `cc -c src/main.c
\u001b[1m/build/source/src/main.c:2:3: \u001b[31merror:\u001b[0m 'x' undeclared @here
/build/source/twice.c:1:1: error: whichever that is
/build/source/src/main.c:99:1: error: behind the end
`;

/** A commit two attributes of which have failed with that log, by one build. */
async function failedRevision(): Promise<TestRevision> {
  const { knex } = database;
  const revision = await outbox.newRevision(['a', 'fine']);
  await knex('revisions').where('id', revision.id).update({ sha });
  await outbox.finish(revision);
  const [job]: unknown[] = await knex('jobs').where({ evaluation_id: revision.evaluation }).orderBy('id');
  const { build_id } = z.object({ build_id: z.number() }).parse(job);
  await knex('builds').where('id', build_id).update({ state: 'failed' });
  await knex('evaluations').where('id', revision.evaluation).update({ state: 'failed' });
  await knex('jobs').insert({ evaluation_id: revision.evaluation, path: ['again'], build_id });
  const bytes = Buffer.from(log);
  const attempt = { build_id, builder: 'local', state: 'ended', status: 'failed', log_complete: true };
  const [inserted]: unknown[] = await knex('attempts')
    .insert({ ...attempt, log_bytes: bytes.length, log_lines: 4 })
    .returning('id');
  const { id } = z.object({ id: z.number() }).parse(inserted);
  await knex('log_chunks').insert({ attempt_id: id, position: 0, first_line: 0, bytes });
  return revision;
}

const annotations = (name: string) =>
  outbox.github.runsNamed(name).flatMap((run) => run.annotations.map((one) => one));

it('the check of a failed build marks the line that its log names, in the call that ends it', async () => {
  const { id } = await failedRevision();
  const finder = createPlaceFinder({
    db: database.knex,
    checkouts,
    log: silentLogger(),
    patienceMs: 60_000,
  });
  const supply = (revision: number, { attempts }: { readonly attempts: readonly number[] }) =>
    finder.find(revision, attempts);
  await planReport(database.knex, id, options, supply);
  await outbox.send();
  const marked = {
    path: 'src/main.c',
    startLine: 2,
    endLine: 2,
    startColumn: 3,
    level: 'failure',
    message: "/build/source/src/main.c:2:3: error: 'x' undeclared @here",
  };
  expect(annotations('ringmaster / a')).toEqual([{ ...marked, title: 'a does not build' }]);
  expect(annotations('ringmaster / again')).toEqual([{ ...marked, title: 'again does not build' }]);
  expect(annotations('ringmaster / fine')).toEqual([]);
  expect(outbox.github.calls.filter(({ name }) => name === 'ringmaster / a')).toHaveLength(1);
  // Nothing is told twice, nor looked for.
  expect(await planReport(database.knex, id, options, () => Promise.reject(new Error('again')))).toBe(0);
});

it('where git is away the report does not wait: the line is marked when git answers', async () => {
  const { id } = await failedRevision();
  const away: Pick<Checkouts, 'ask'> = { ask: async () => ({ kind: 'later', reason: 'git is away' }) };
  const lost = createPlaceFinder({ db: database.knex, checkouts: away, log: silentLogger() });
  await planReport(database.knex, id, options, (revision, { attempts }) => lost.find(revision, attempts));
  await outbox.send();
  expect(outbox.last('ringmaster / a')).toMatchObject({ conclusion: 'failure' });
  expect(annotations('ringmaster / a')).toEqual([]);
  await expect(lost.findAgain({ revisionId: id })).rejects.toThrow('cannot be asked yet');
  const finder = createPlaceFinder({ db: database.knex, checkouts, log: silentLogger() });
  await finder.findAgain({ revisionId: id });
  await planReport(database.knex, id, options);
  await outbox.send();
  expect(annotations('ringmaster / a')).toMatchObject([{ path: 'src/main.c', startLine: 2 }]);
  expect(outbox.github.runsNamed('ringmaster / a')).toHaveLength(1);
});
