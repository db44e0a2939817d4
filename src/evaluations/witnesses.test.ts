/** All results of a known tree are found valid with one question, and copied with their end. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { removeOldHistory } from '../builds/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { createTestOrigin, type TestOrigin } from '../projects/test-origin.ts';
import { type JobRecord, startTestCoordinator, type TestCoordinator } from './test-coordinator.ts';

const enqueue = { unsupportedTimeoutSeconds: 3600 };

describe.each(nixesUnderTest)('with $name', (under) => {
  let database: TestDatabase;
  let origin: TestOrigin;
  let testNix: TestNix;
  let coordinator: TestCoordinator;
  beforeAll(async () => {
    [database, origin, testNix] = await Promise.all([
      createTestDatabase(),
      createTestOrigin(),
      openTestNix(under),
    ]);
  });
  beforeEach(async () => {
    coordinator = await startTestCoordinator(database, origin, testNix, { enqueue });
  });
  afterEach(() => coordinator.close());
  afterAll(() => Promise.all([testNix.close(), origin.remove(), database.drop()]));

  let number = 0;
  /** A commit of a ci.nix that no test has used before; `good` makes derivations that build. */
  function commit(body: string): Promise<string> {
    number += 1;
    const good =
      'name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }';
    return origin.commit({ 'ci.nix': `let good = name: (${good}) "\${name}-${number}"; in ${body}` });
  }

  async function build(jobs: readonly JobRecord[], state = 'succeeded'): Promise<void> {
    const drvPaths = [...new Set(jobs.flatMap(({ drv_path }) => drv_path ?? []))];
    await testNix.run('nix-store', ['--realise', ...drvPaths]);
    const ended = { state, finished_at: database.knex.fn.now() };
    await database.knex('builds').whereIn('drv_path', drvPaths).update(ended);
  }

  /** An evaluation of the commit for which all is built, and its witness. */
  async function witnessed(sha: string) {
    const first = await coordinator.push(sha);
    await build((await coordinator.jobs(first.id)).filter(({ build_id }) => build_id !== null));
    const second = await coordinator.rerun(sha);
    await coordinator.makeWitness(second.id);
    return { first, second, witness: await witnessOf(second.id) };
  }

  const witnessOf = async (id: number): Promise<string | null> =>
    (await database.knex('evaluations').where({ id }).first()).witness;

  /** What a person sees of jobs, and what they hang on. */
  const seen = async (id: number) =>
    (await coordinator.jobs(id)).map(({ path, drv_path, error, error_line, cached, build_id }) => {
      return { path, drv_path, error, error_line, cached, build_id };
    });

  /** Whether the background task is asked for. */
  async function isAskedFor(id: number): Promise<boolean> {
    const key = `witness:${id}`;
    return (
      (await database.knex.raw('SELECT 1 FROM graphile_worker.jobs WHERE key = ?', [key])).rows.length > 0
    );
  }

  test('jobs, errors and the end are as if everything had been asked for', async () => {
    const many =
      'builtins.listToAttrs (builtins.genList (n: { name = "a${toString n}"; value = good "a"; }) 100)';
    const sha = await commit(`${many} // { b = good "b"; bad = { }.x; }`);
    const { first, second, witness } = await witnessed(sha);
    expect(witness).toMatch(/-ringmaster-results$/);
    expect([await isAskedFor(first.id), await isAskedFor(second.id)]).toEqual([false, true]);
    const third = await coordinator.push(await origin.commit({}, 'Nothing'));
    // Copied at its end: nothing was planned.
    expect(await witnessOf(third.id)).toBe(witness);
    expect(third).toMatchObject({ state: 'failed', reused_from: first.id, job_count: 101, error_count: 1 });
    expect(third.finished_at).not.toBeNull();
    expect(await seen(third.id)).toEqual(await seen(second.id));
    const built = (await coordinator.jobs(first.id)).map(({ build_id }) => build_id);
    expect((await seen(third.id)).map(({ build_id }) => build_id)).toEqual(built);
    // History removes the one that was really done.
    await database
      .knex('evaluations')
      .where({ id: first.id })
      .update({ finished_at: new Date(0) });
    await removeOldHistory(database.knex, 1);
    expect(await database.knex('evaluations').where({ id: first.id })).toEqual([]);
    const fourth = await coordinator.rerun(sha);
    expect(await witnessOf(fourth.id)).toBe(witness);
    expect(await seen(fourth.id)).toEqual(await seen(second.id));
    expect(coordinator.started.count).toBe(1);
  });

  test('after a collection, what is missing is queued as ever', async () => {
    const sha = await commit('{ a = good "a"; }');
    const { second, witness } = await witnessed(sha);
    expect(await isAskedFor(second.id)).toBe(false);
    const [job] = await coordinator.jobs(second.id);
    await coordinator.letGo();
    // A daemon takes a moment to end with its connection.
    const remove = () =>
      testNix.run('nix-store', ['--delete', witness ?? '', ...Object.values(job?.outputs ?? {})]);
    await expect
      .poll(() => remove().then(Boolean, () => false), { timeout: 60_000, interval: 500 })
      .toBe(true);
    const third = await coordinator.rerun(sha);
    expect(third.state).toBe('building');
    expect(await coordinator.jobs(third.id)).toMatchObject([{ cached: false }]);
    expect(coordinator.started.count).toBe(1);
  });

  test('jobs of which only the dependencies are wanted are looked at each time', async () => {
    const sha = await commit('{ a = good "a"; shell = good "shell" // { buildDependenciesOnly = true; }; }');
    const { witness } = await witnessed(sha);
    expect(witness).not.toBeNull();
    const third = await coordinator.rerun(sha);
    expect(await witnessOf(third.id)).toBe(witness);
    expect(await coordinator.jobs(third.id)).toMatchObject([{ cached: true }, { cached: true }]);
  });

  test('there is none while something is not built, or has failed, or is not in this store', async () => {
    const sha = await commit('{ a = good "a"; b = good "b"; }');
    const first = await coordinator.push(sha);
    await coordinator.makeWitness(first.id);
    expect(await witnessOf(first.id)).toBeNull();
    const jobs = await coordinator.jobs(first.id);
    await build(jobs, 'failed');
    await database.knex('evaluations').where({ id: first.id }).update({ state: 'failed' });
    await coordinator.makeWitness(first.id);
    expect(await witnessOf(first.id)).toBeNull();
    await build(jobs);
    await database
      .knex('jobs')
      .where({ id: jobs[0]?.id })
      .update({ outputs: { out: `${testNix.nix.storeDir}/${'a'.repeat(32)}-gone` } });
    await coordinator.makeWitness(first.id);
    expect(await witnessOf(first.id)).toBeNull();
  });
});
