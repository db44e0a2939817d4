/** What happens while an evaluation goes on. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { createTestOrigin, type TestOrigin } from '../projects/test-origin.ts';
import type { Evaluate } from './events.ts';
import { startTestCoordinator } from './test-coordinator.ts';

let database: TestDatabase;
let origin: TestOrigin;
let testNix: TestNix;
beforeAll(async () => {
  const [under] = nixesUnderTest;
  if (!under) throw new Error('there is no Nix');
  database = await createTestDatabase();
  origin = await createTestOrigin();
  testNix = await openTestNix(under);
  const machine = { name: 'here', kind: 'local', systems: ['x86_64-linux'], features: [], slots: 1 };
  await database.knex('builders').insert(machine);
});
afterAll(async () => {
  await testNix.close();
  await origin.remove();
  await database.drop();
});

/** Lets the real evaluator's stream go on after its second job only when told to. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const wrap = (evaluate: Evaluate): Evaluate =>
    async function* (request) {
      let jobs = 0;
      for await (const event of evaluate(request)) {
        if (event.type === 'job') jobs += 1;
        if (jobs === 3) await opened;
        yield event;
      }
    };
  return { open: () => open(), wrap };
}

const files = (name: string) => ({
  'ci.nix': `let d = name: inputs: meta: derivation {
      inherit name inputs; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; } // { inherit meta; };
    low = d "${name}-low" [ ] { };
    in { a = d "${name}-a" [ low ] { }; b = low; c = d "${name}-c" [ low ] { schedulingPriority = 7; timeout = 90; }; }`,
});

test('builds are queued before the evaluation has ended, once each, and settle only after it', async () => {
  const { open, wrap } = gate();
  const coordinator = await startTestCoordinator(database, origin, testNix, { wrap });
  const names = () => database.knex('builds').whereLike('name', 'early-%').orderBy('id').pluck('name');
  const pushed = coordinator.push(await origin.commit(files('early')));
  await expect.poll(async () => (await names()).sort()).toEqual(['early-a', 'early-low']);
  expect(await database.knex('evaluations').pluck('state')).toEqual(['evaluating']);
  // What an earlier part has queued may have failed when the next part comes.
  await database
    .knex('builds')
    .where({ name: 'early-low' })
    .update({ state: 'failed', finished_at: database.knex.fn.now() });
  open();
  const ended = await pushed;
  expect(ended.state).toBe('failed');
  expect((await names()).sort()).toEqual(['early-a', 'early-c', 'early-low']);
  const low = await database.knex('builds').where({ name: 'early-low' }).first();
  const late = await database.knex('builds').where({ name: 'early-c' }).first();
  expect(late).toMatchObject({ state: 'dependency-failed', culprit_build_id: low.id });
  expect(late).toMatchObject({ priority: 7, timeout_seconds: 90, project_id: 1 });
  expect(Number(low.remaining_ms)).toBeGreaterThan(Number(late.remaining_ms));
  await coordinator.close();
});

test('of two evaluations of the same files, one evaluates and the other stands on it', async () => {
  const { open, wrap } = gate();
  const coordinator = await startTestCoordinator(database, origin, testNix, { wrap, concurrency: 2 });
  const first = coordinator.push(await origin.commit(files('same')));
  await expect.poll(() => coordinator.started.count).toBe(1);
  const second = coordinator.push(await origin.commit({}, 'The same files'));
  await expect
    .poll(() => database.knex('evaluations').whereNotNull('waits_for').pluck('waiting_for'), {
      timeout: 20_000,
    })
    .toEqual([expect.stringMatching(/^commit [0-9a-f]{12}, which has the same files/)]);
  open();
  const [one, other] = await Promise.all([first, second]);
  expect(other.reused_from).toBe(one.id);
  expect(coordinator.started.count).toBe(1);
  await coordinator.close();
});

test('an evaluation that was broken off starts over, and its builds stay the same', async () => {
  const stuck = gate();
  const before = await startTestCoordinator(database, origin, testNix, { wrap: stuck.wrap });
  const sha = await origin.commit(files('again'));
  const never = before.push(sha);
  never.catch(() => {});
  const builds = () => database.knex('builds').whereLike('name', 'again-%').orderBy('id').pluck('id');
  await expect.poll(async () => (await builds()).length).toBe(2);
  const early = await builds();
  const closing = before.close();
  stuck.open();
  await closing;
  const after = await startTestCoordinator(database, origin, testNix);
  await expect
    .poll(() => database.knex('evaluations').orderBy('id', 'desc').first())
    .toMatchObject({ state: 'building', job_count: 3 });
  expect((await builds()).slice(0, 2)).toEqual(early);
  expect(await builds()).toHaveLength(3);
  await after.close();
});

test('a derivation written by hand that the store does not take is refused alone', async () => {
  const coordinator = await startTestCoordinator(database, origin, testNix);
  const forged = `Derive([("out","/nix/store/${'0'.repeat(32)}-forged","","")],[],[],"x86_64-linux","/bin/sh",[],[("out","/nix/store/${'0'.repeat(32)}-forged")])`;
  const sha = await origin.commit({
    'ci.nix': `let d = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; };
      drv = builtins.toFile "forged.drv" ''${forged}'';
      in { a = d "beside-forged-a"; z = d "beside-forged-z"; forged = { type = "derivation"; name = "forged"; drvPath = drv; }; }`,
  });
  const ended = await coordinator.push(sha);
  const jobs = await coordinator.jobs(ended.id);
  const queued = await database
    .knex('builds')
    .whereLike('name', 'beside-forged-%')
    .orderBy('name')
    .pluck('name');
  expect(queued).toEqual(['beside-forged-a', 'beside-forged-z']);
  expect(jobs.filter(({ error }) => error !== null)).toMatchObject([
    { path: ['forged'], error: expect.stringMatching(/does not take the derivation.*forged/s) },
  ]);
  await coordinator.close();
});

test('what an evaluation says is kept, also where it is cut in the middle of a character', async () => {
  const coordinator = await startTestCoordinator(database, origin, testNix);
  const name = `${'x'.repeat(199)}🦭`;
  await origin.commit({ 'ci.nix': '{ }' });
  await origin.git(['update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},${name}`]);
  await origin.git(['commit', '--quiet', '--message', 'With a submodule']);
  const sha = await origin.git(['rev-parse', 'HEAD']);
  await origin.git(['rm', '--quiet', '--cached', name]);
  const { notices, error_count } = await coordinator.push(sha);
  expect(error_count).toBe(0);
  expect(JSON.stringify(notices)).toMatch(/folders are empty: 'x{199}\ufffd'/);
  await coordinator.close();
});
