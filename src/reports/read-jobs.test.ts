import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { finishedStates, unfinishedStates } from '../builds/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { judgedJobs } from './job-phases.ts';
import { createTestOutbox, second } from './outbox/test-outbox.ts';
import { judgeJobs } from './plan/verdict.ts';
import { readReportFacts } from './read.ts';

let database: TestDatabase;
let outbox: Awaited<ReturnType<typeof createTestOutbox>>;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  outbox = await createTestOutbox(database.knex);
});
afterAll(() => database?.drop());

const marks = ['regular', 'may-fail', 'must-fail', 'dependencies-only', 'effect'];

test.each([
  ['goes on', null],
  ['has ended', new Date()],
])('a job is counted as it is shown, whatever became of it, while its evaluation %s', async (_, ended) => {
  const db = database.knex;
  const revision = await outbox.newRevision([], {
    finished_at: ended,
    ...(ended && { state: 'failed' }),
  });
  const builds = [...unfinishedStates, ...finishedStates];
  await db.raw(
    `WITH b AS (INSERT INTO builds (drv_path, name, system, state)
                SELECT '/nix/store/' || s || '.drv', s, 'x86_64-linux', s FROM unnest(:builds::text[]) s RETURNING id, state)
     INSERT INTO jobs (evaluation_id, path, mark, build_id, cached, error)
     SELECT CAST(:evaluation AS bigint), ARRAY[m, b.state, c::text], m, b.id, c, NULL
     FROM b, unnest(:marks::text[]) m, unnest(ARRAY[true, false]) c
     UNION ALL SELECT CAST(:evaluation AS bigint), ARRAY['alone', m], m, NULL, false, NULL FROM unnest(:marks::text[]) m
     UNION ALL SELECT CAST(:evaluation AS bigint), ARRAY['wrong', m], m, NULL, false, 'error: x' FROM unnest(:marks::text[]) m`,
    { builds, marks, evaluation: revision.evaluation },
  );
  const facts = await readReportFacts(db, revision.id);
  if (!facts?.evaluation) throw new Error('there is no evaluation');
  const result: unknown = await db.raw(`${judgedJobs(facts.evaluation)} ORDER BY j.id`, {
    evaluationId: revision.evaluation,
  });
  const rows = z
    .object({ rows: z.array(z.object({ path: z.array(z.string()), phase: z.string() })) })
    .parse(result).rows;
  const counted = Object.fromEntries(rows.map(({ path, phase }) => [path.join(' '), phase]));
  const shown = judgeJobs(facts.jobs, facts.evaluation).map(({ job, verdict }) => [
    job.path.join(' '),
    verdict.phase,
  ]);
  expect(counted).toEqual(Object.fromEntries(shown));
});

describe('an evaluation of thousands of attributes', () => {
  /** 1,500 that fail for one cause, 1,500 for another's failure, 1,500 good ones, and these. */
  async function newLarge(more: Record<string, unknown>[]) {
    const db = database.knex;
    const revision = await outbox.newRevision(['zzz-culprit'], { job_count: 4_501 });
    const { evaluation } = revision;
    await db('builds').where({ name: 'zzz-culprit' }).update({ state: 'failed', finished_at: new Date() });
    await db.raw(
      `WITH c AS (SELECT id FROM builds WHERE name = 'zzz-culprit'), f AS (
         INSERT INTO builds (drv_path, name, system, state, culprit_build_id, finished_at)
         SELECT '/nix/store/f' || n || '.drv', 'f' || n, 'x86_64-linux', 'dependency-failed', c.id, now()
         FROM c, generate_series(1, 1500) n RETURNING id, name)
       INSERT INTO jobs (evaluation_id, path, build_id, cached, error, error_file, error_line)
       SELECT CAST(:evaluation AS bigint), ARRAY[name], id, false, NULL, NULL, CAST(NULL AS int) FROM f
       UNION ALL SELECT CAST(:evaluation AS bigint), ARRAY['e' || n], NULL, false, CAST(:error AS text) || n || '''', 'ci.nix', 12 FROM generate_series(1, 1500) n
       UNION ALL SELECT CAST(:evaluation AS bigint), ARRAY['good' || n], NULL, true, NULL, NULL, NULL FROM generate_series(1, 1500) n`,
      {
        evaluation,
        error:
          "error: attribute 'foo' missing\n\n       at ci.nix:12:3:\n\n       … while evaluating the attribute 'e",
      },
    );
    for (const job of more) await db('jobs').insert({ evaluation_id: evaluation, ...job });
    return revision;
  }

  test('says each cause once, and what failed alone before the rest', async () => {
    const revision = await newLarge([
      { path: ['zzz-alone'], error: 'error: this one is different', error_file: 'b.nix', error_line: 3 },
    ]);
    await revision.plan();
    await outbox.send();
    const gate = outbox.last('ringmaster');
    expect(gate?.title).toBe('Building: 3002 failed, 1500 good');
    expect(gate?.summary).toContain("- 1500 attributes: `attribute 'foo' missing`, in `ci.nix:12`");
    expect(gate?.summary).toContain('- 1500 attributes: `zzz-culprit` did not build');
    expect(gate?.text).toContain('this one is different');
    expect(gate?.text?.match(/attribute 'foo' missing/g)).toHaveLength(10);
    expect(gate?.text?.match(/Dependency failed: zzz-culprit/g)).toHaveLength(10);
    const evaluation = outbox.last('ringmaster / evaluation');
    expect(evaluation?.title).toBe('1501 of 4502 attributes did not evaluate');
    expect(evaluation?.text).toMatch(/`e1`, `e10`, .* and 1490 more in `ci.nix:12`/);
    expect(evaluation?.annotations.map(({ path, title }) => [path, title])).toEqual([
      ['ci.nix', 'e1 and 1499 others do not evaluate'],
      ['b.nix', 'zzz-alone does not evaluate'],
    ]);
  });

  test('says the same of what did not evaluate, however much does not build later', async () => {
    const db = database.knex;
    const dozen = Array.from({ length: 12 }, (_, n) => ({
      path: [`zz${n}`],
      error: "error: attribute 'bar' missing",
      error_file: 'b.nix',
      error_line: 3,
    }));
    const revision = await newLarge(dozen);
    await revision.plan();
    await outbox.send();
    const before = outbox.last('ringmaster / evaluation');
    expect(before?.annotations.map(({ title }) => title)).toContain('zz0 and 11 others do not evaluate');
    await db.raw(
      `WITH c AS (INSERT INTO builds (drv_path, name, system, state, finished_at)
         SELECT '/nix/store/a' || n || '.drv', 'a' || n, 'x86_64-linux', 'failed', now() FROM generate_series(1, 1100) n
         RETURNING id, name), f AS (
         INSERT INTO builds (drv_path, name, system, state, culprit_build_id, finished_at)
         SELECT '/nix/store/' || name || n || '.drv', name || '-' || n, 'x86_64-linux', 'dependency-failed', id, now()
         FROM c, generate_series(1, 13) n WHERE name IN ('a1', 'a2', 'a3', 'a4') RETURNING id, name)
       INSERT INTO jobs (evaluation_id, path, build_id)
       SELECT CAST(:evaluation AS bigint), ARRAY[name], id FROM (SELECT * FROM c UNION ALL SELECT * FROM f) built`,
      { evaluation: revision.evaluation },
    );
    outbox.pass(60 * second);
    await revision.plan();
    await outbox.send();
    const after = outbox.last('ringmaster / evaluation');
    expect(after?.conclusion).toBe('failure');
    expect(after?.annotations).toEqual(before?.annotations);
    expect(after?.text).toBe(before?.text);
    expect(outbox.last('ringmaster')?.summary).toContain('- 13 attributes: `a1` did not build');
  });

  test('says how many errors are told nowhere, in attributes', async () => {
    const revision = await outbox.newRevision([], { job_count: 0, error_count: 2_400 });
    await database.knex.raw(
      `INSERT INTO jobs (evaluation_id, path, error)
       SELECT CAST(:evaluation AS bigint), ARRAY['m' || n], 'error: cause ' || n % 400 FROM generate_series(1, 2400) n`,
      { evaluation: revision.evaluation },
    );
    await revision.plan();
    await outbox.send();
    const text = outbox.last('ringmaster / evaluation')?.text ?? '';
    const told = text
      .split('❌')
      .slice(1)
      .map((block) => {
        const names = block.match(/`m\d+`/g)?.length ?? 0;
        return names + Number(/ and (\d+) more\n/.exec(block)?.[1] ?? 0);
      });
    const rest = Number(/\[(\d+) more\]/.exec(text)?.[1]);
    expect(told.reduce((sum, count) => sum + count, rest)).toBe(2_400);
  });

  test('ends the checks that were begun, whatever their names are', async () => {
    const db = database.knex;
    const names = [['good7'], ['with.dot'], ['evaluation'], ['x'.repeat(300)]];
    const revision = await newLarge(names.slice(1).map((path) => ({ path, cached: true })));
    await db('reports').insert(
      ['good7', '"with.dot"', '"evaluation"'].map((name) => ({
        revision_id: revision.id,
        installation_id: 7,
        kind: 'check',
        name: `ringmaster / ${name}`,
        desired: '{}',
        desired_digest: '',
        priority: 50,
        terminal: false,
      })),
    );
    await revision.plan();
    await outbox.send();
    for (const name of ['good7', '"with.dot"', '"evaluation"']) {
      expect(outbox.last(`ringmaster / ${name}`)).toMatchObject({
        status: 'completed',
        title: 'Already built',
      });
    }
  });
});

test('errors at one place that begin alike are told apart, and are one whatever led to them', async () => {
  const revision = await outbox.newRevision([]);
  const failed = (assertion: string) => `error:\n       Failed assertions:\n       - ${assertion}`;
  const causes = [failed('no root file system'), failed('no boot loader')];
  await database.knex('jobs').insert(
    Array.from({ length: 6 }, (_, n) => ({
      evaluation_id: revision.evaluation,
      path: [`host${n}`],
      error: `${causes[n % 2]}${n < 2 ? '' : `\n\n       … while evaluating the attribute 'host${n}'`}`,
      error_file: 'lib.nix',
      error_line: 7,
    })),
  );
  await revision.plan();
  await outbox.send();
  const { summary } = outbox.last('ringmaster') ?? {};
  expect(summary).toContain('- 3 attributes: `Failed assertions: no root file system`, in `lib.nix:7`');
  expect(summary).toContain('- 3 attributes: `Failed assertions: no boot loader`, in `lib.nix:7`');
  const { text } = outbox.last('ringmaster / evaluation') ?? {};
  expect(text).toContain('`host0`, `host2`, `host4` in `lib.nix:7`');
  expect(text).toContain('`host1`, `host3`, `host5` in `lib.nix:7`');
});

test('two plans of a revision at once are one after the other, and none waits', async () => {
  const revision = await outbox.newRevision(['a']);
  const db = database.knex;
  await db.transaction(async (trx) => {
    await trx.raw(`SELECT pg_advisory_xact_lock(hashtextextended('ringmaster plans a report', ?))`, [
      revision.id,
    ]);
    expect(await revision.plan()).toBe(0);
  });
  const asked: unknown[] = await db('graphile_worker.jobs').where({ key: `report:${revision.id}` });
  expect(asked).toHaveLength(1);
  expect(await revision.plan()).toBeGreaterThan(0);
});
