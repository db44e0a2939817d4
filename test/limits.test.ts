/** Reports under GitHub's limits and troubles, by a clock that passes as fast as the test does. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../src/postgres/test-database.ts';
import { type Commit, type Reporting, startReporting } from './support/reporting.ts';

let database: TestDatabase;
let reporting: Reporting;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  await database.knex.raw(
    'TRUNCATE installations, projects, revisions, evaluations, jobs, builds, reports, github_writes CASCADE',
  );
  await database.knex.raw('DELETE FROM graphile_worker._private_jobs');
  reporting = await startReporting(database.knex);
});
afterEach(() => reporting.close());
afterAll(() => database.drop());

async function fail(commit: Commit): Promise<void> {
  await reporting.endBuilds(commit.builds, 'failed');
  await reporting.endEvaluation(commit, 'failed');
  await reporting.plan(commit);
}

const ended = (commit: Commit) => reporting.gateOf(commit)?.conclusion === 'failure';
const limited = () => reporting.double.journal.calls.filter((call) => call.limited !== undefined);

it('stays under every limit with more failures than a minute holds, over restarts, and lets a second repository through', async () => {
  const big = await reporting.newProject('acme/big');
  const small = await reporting.newProject('acme/small');
  const crowd: Commit[] = [];
  for (let n = 0; n < 3; n++) crowd.push(await reporting.newCommit(big, 40));
  for (const commit of crowd) await fail(commit);
  await reporting.send('acme');
  // A program that does not remember what the one before it wrote.
  reporting.restart();
  const other = await reporting.newCommit(small, 3);
  await fail(other);
  expect(await reporting.until('acme', 60, () => ended(other))).toBeLessThanOrEqual(60);
  await reporting.pass('acme', 10 * 60);
  expect(crowd.filter(ended)).toHaveLength(3);
  expect(await reporting.unsent()).toBe(0);
  expect(limited()).toEqual([]);
  const most = reporting.double.limiter.most(reporting.double.installation('acme').id);
  expect(most.contentPerMinute).toBeGreaterThan(60);
  expect(most.concurrent).toBeLessThanOrEqual(8);
}, 60_000);

it('sends everything after a long time of 502, and has asked only now and then meanwhile', async () => {
  const project = await reporting.newProject('acme/away');
  const commit = await reporting.newCommit(project, 2);
  await reporting.plan(commit);
  await reporting.send('acme');
  reporting.double.faults.inject({ kind: 'status', status: 502, times: 10_000 });
  const before = reporting.double.journal.calls.length;
  await fail(commit);
  await reporting.pass('acme', 900);
  expect(ended(commit)).toBe(false);
  expect(reporting.double.journal.calls.length - before).toBeLessThan(250);
  reporting.double.faults.clear();
  expect(await reporting.until('acme', 300, () => ended(commit))).toBeLessThanOrEqual(300);
  await reporting.pass('acme', 120);
  expect(await reporting.unsent()).toBe(0);
  expect(reporting.double.checkRuns(commit.sha)).toHaveLength(4);
}, 60_000);

it('asks for one other token when GitHub refuses the one it has, and then waits', async () => {
  const project = await reporting.newProject('acme/tokens');
  const commit = await reporting.newCommit(project, 1);
  const minted = () => reporting.double.callsTo('POST', '/app/installations/:id/access_tokens').length;
  const path = '/repos/:owner/:repo/check-runs';
  reporting.double.faults.inject({ kind: 'status', status: 401, path, times: 10 });
  await fail(commit);
  await reporting.send('acme');
  // Those that run beside it, as the status of the commit, need no other one.
  expect(minted()).toBe(2);
  await reporting.send('acme');
  expect(minted()).toBe(2);
  reporting.double.faults.clear();
  await reporting.pass('acme', 60);
  expect(ended(commit)).toBe(true);
});

it('gives up what belongs to a repository that is gone, and goes on with the others', async () => {
  const gone = await reporting.newProject('acme/gone');
  const there = await reporting.newProject('acme/there');
  const lost = await reporting.newCommit(gone, 2);
  await reporting.plan(lost);
  await reporting.send('acme');
  for (const [id, repository] of reporting.double.world.repositories) {
    if (repository.name === 'gone') reporting.double.world.repositories.delete(id);
  }
  const other = await reporting.newCommit(there, 1);
  await fail(lost);
  await fail(other);
  await reporting.send('acme');
  expect(ended(other)).toBe(true);
  await reporting.pass('acme', 600);
  expect(await reporting.unsent()).toBe(0);
  const calls = reporting.double.journal.calls.length;
  await reporting.pass('acme', 3600);
  expect(reporting.double.journal.calls).toHaveLength(calls);
});

it('tells a smaller truth where GitHub refuses the whole one, and keeps its reason for the operator', async () => {
  const project = await reporting.newProject('acme/refused');
  const commit = await reporting.newCommit(project, 1);
  const path = '/repos/:owner/:repo/check-runs';
  await reporting.plan(commit);
  await reporting.send('acme');
  reporting.double.faults.inject({
    kind: 'status',
    status: 422,
    message: 'Validation Failed',
    method: 'PATCH',
    path: `${path}/:id`,
  });
  await fail(commit);
  await reporting.pass('acme', 60);
  expect(ended(commit)).toBe(true);
  const rows: unknown = await database
    .knex('reports')
    .select('last_error', 'given_up')
    .where('degraded', true);
  expect(rows).toEqual([{ last_error: expect.stringContaining('422: Validation Failed'), given_up: false }]);
});

it('shows first what branches stand on, and no progress of commits that newer ones have replaced', async () => {
  const project = await reporting.newProject('acme/moving');
  const commits = [await reporting.newCommit(project, 1), await reporting.newCommit(project, 1)];
  const [old, head] = commits;
  if (!old || !head) throw new Error('no commits');
  for (const [index, commit] of commits.entries()) {
    await database.knex('revision_sources').insert({
      revision_id: commit.id,
      kind: 'branch',
      name: 'main',
      git_ref: 'refs/heads/main',
      seen_at: new Date(Date.now() + 60_000 * (index + 1)),
    });
    await reporting.plan(commit);
  }
  await reporting.send('acme');
  expect(reporting.gateOf(head)?.status).toBe('in_progress');
  // What is over is told with the gate that has to be there for it; what is under way is not.
  const told = reporting.double.checkRuns(old.sha).map(({ name }) => name);
  expect(told).toEqual(['ringmaster', 'ringmaster / evaluation']);
  expect(reporting.double.statuses(old.sha).map(({ state }) => state)).toEqual([]);
  // How it ended is told nevertheless, the newer commit's end before it.
  await fail(old);
  await fail(head);
  await reporting.send('acme');
  expect(ended(old) && ended(head)).toBe(true);
});
