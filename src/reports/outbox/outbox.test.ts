import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { silentLogger } from '../../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { options } from '../plan/facts-for-tests.ts';
import { planReport } from './plan-report.ts';
import { Crash, createRecordingGitHub, noAnswer } from './recording-github.ts';
import { createReportSender, type ReportSender } from './send-reports.ts';
import { sweepReports } from './sweep.ts';

let database: TestDatabase;
let github: ReturnType<typeof createRecordingGitHub>;
let sender: ReportSender;
let time: number;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const installation = 7;
const second = 1000;

beforeEach(async () => {
  await database.knex.raw(
    'TRUNCATE installations, projects, revisions, evaluations, jobs, builds, reports CASCADE',
  );
  await database.knex.raw('DELETE FROM graphile_worker._private_jobs');
  time = Date.now();
  github = createRecordingGitHub();
  sender = newSender();
  await database.knex('installations').insert({ id: installation, account_login: 'acme' });
});

/** As after a start of the program: it remembers nothing but what the database holds. */
function newSender(): ReportSender {
  return createReportSender({
    db: database.knex,
    transport: github.transport,
    log: silentLogger(),
    now: () => new Date(time),
    random: () => 0.5,
  });
}

const idRow = z.object({ id: z.number() });
async function insert(table: string, row: Record<string, unknown>): Promise<number> {
  const [inserted]: unknown[] = await database.knex(table).insert(row).returning('id');
  return idRow.parse(inserted).id;
}

let commits = 0;
async function newRevision(
  paths: readonly string[],
  row: Record<string, unknown> = {},
): Promise<{ id: number; evaluation: number; plan: () => Promise<number> }> {
  const found: unknown = await database.knex('projects').select('id').first();
  const project =
    found === undefined
      ? await insert('projects', {
          github_repository_id: 1,
          installation_id: installation,
          owner: 'acme',
          name: 'hello',
          default_branch: 'main',
          private: false,
        })
      : idRow.parse(found).id;
  const sha = (++commits).toString(16).padStart(40, '0');
  const id = await insert('revisions', { project_id: project, sha, trust: 'trusted' });
  const evaluation = await insert('evaluations', {
    revision_id: id,
    state: 'building',
    file: 'ci.nix',
    started_at: new Date(time),
    evaluated_at: new Date(time),
    ...row,
  });
  for (const path of paths) {
    const build = await insert('builds', {
      drv_path: `/nix/store/${id}-${path}.drv`,
      name: path,
      system: 'x86_64-linux',
      state: 'queued',
    });
    await database.knex('jobs').insert({ evaluation_id: evaluation, path: [path], build_id: build });
  }
  return { id, evaluation, plan: () => planReport(database.knex, id, options) };
}

/** Ends the evaluation with all its builds in one state. */
async function finish(evaluation: number, state: 'succeeded' | 'failed' = 'succeeded'): Promise<void> {
  const builds = database.knex('jobs').select('build_id').where('evaluation_id', evaluation);
  await database
    .knex('builds')
    .whereIn('id', builds)
    .update({ state, finished_at: new Date(time) });
  await database
    .knex('evaluations')
    .where('id', evaluation)
    .update({ state, finished_at: new Date(time) });
}

const send = () => sender.send(installation);
const last = (name: string) => github.runsNamed(name).at(-1)?.versions.at(-1);

async function unsent(): Promise<number> {
  const rows: unknown[] = await database
    .knex('reports')
    .whereRaw('sent_version < version')
    .where('given_up', false);
  return rows.length;
}

/** When the outbox asked to be called again, in seconds from now. */
async function wakesAfter(): Promise<number | undefined> {
  const result: unknown = await database.knex.raw(
    `SELECT run_at FROM graphile_worker.jobs WHERE key = 'send-reports-later:${installation}'`,
  );
  const { rows } = z.object({ rows: z.array(z.object({ run_at: z.date() })) }).parse(result);
  return rows[0] && (rows[0].run_at.getTime() - time) / second;
}

describe('the outbox', () => {
  it('creates the gate before every other check and ends it after them', async () => {
    const revision = await newRevision(['a', 'b']);
    await finish(revision.evaluation);
    await revision.plan();
    await send();
    const writes = github.calls.filter((call) => call.method !== 'setStatus');
    expect(writes[0]).toEqual({ method: 'createCheck', name: 'ringmaster' });
    expect(github.runsNamed('ringmaster')[0]?.versions[0]?.status).toBe('in_progress');
    expect(writes.at(-1)).toEqual({ method: 'updateCheck', name: 'ringmaster' });
    expect(last('ringmaster')).toMatchObject({ status: 'completed', conclusion: 'success' });
    expect(github.statuses.map((status) => status.state)).toEqual(['success']);
    expect(await unsent()).toBe(0);
  });

  it('keeps the other checks back while the gate cannot be created', async () => {
    const revision = await newRevision(['a']);
    await revision.plan();
    github.inject((call) => (call.name === 'ringmaster' ? { kind: 'answer', result: noAnswer } : undefined));
    await send();
    expect(github.runs).toEqual([]);
    github.inject(() => undefined);
    time += 60 * second;
    await send();
    expect(github.runs.map((run) => run.versions[0]?.name)[0]).toBe('ringmaster');
    expect(github.runs).toHaveLength(3);
  });

  it('writes nothing when a plan says what the last one said', async () => {
    const revision = await newRevision(['a']);
    expect(await revision.plan()).toBeGreaterThan(0);
    expect(await revision.plan()).toBe(0);
  });

  it('sends only the newest of many wishes, and no progress once the end is known', async () => {
    const revision = await newRevision(['a']);
    await revision.plan();
    await database.knex('builds').update({ state: 'building', started_at: new Date(time) });
    await revision.plan();
    await finish(revision.evaluation);
    await revision.plan();
    await send();
    expect(github.runsNamed('ringmaster / a')[0]?.versions.map((version) => version.status)).toEqual([
      'completed',
    ]);
    expect(github.statuses).toHaveLength(1);
  });

  it('sends an end that was wished for while progress was being sent', async () => {
    const revision = await newRevision(['a']);
    await revision.plan();
    let finished = false;
    github.whileCalled(async (call) => {
      if (call.name !== 'ringmaster / a' || finished) return;
      finished = true;
      await finish(revision.evaluation);
      await revision.plan();
    });
    await send();
    expect(last('ringmaster / a')).toMatchObject({ conclusion: 'success' });
    expect(last('ringmaster')).toMatchObject({ conclusion: 'success' });
    expect(await unsent()).toBe(0);
  });

  it('makes one run of a check whose creation was not stored before a crash', async () => {
    const revision = await newRevision(['a']);
    await revision.plan();
    github.inject((call) => (call.method === 'createCheck' ? { kind: 'crash' } : undefined));
    await expect(send()).rejects.toThrow(Crash);
    expect(github.runs).toHaveLength(1);
    github.inject(() => undefined);
    await finish(revision.evaluation);
    await revision.plan();
    sender = newSender();
    await send();
    expect(github.runsNamed('ringmaster')).toHaveLength(1);
    expect(last('ringmaster')).toMatchObject({ conclusion: 'success' });
  });

  it('creates a check whose creation never arrived', async () => {
    const revision = await newRevision([]);
    await revision.plan();
    github.inject(() => ({ kind: 'answer', result: noAnswer }));
    await send();
    github.inject(() => undefined);
    time += 60 * second;
    await send();
    expect(github.runsNamed('ringmaster')).toHaveLength(1);
    expect(await unsent()).toBe(0);
  });

  it('sends everything after an hour without GitHub, having asked only now and then', async () => {
    const revisions = [await newRevision(['a']), await newRevision(['b']), await newRevision(['c'])];
    github.inject(() => ({ kind: 'answer', result: noAnswer }));
    for (const revision of revisions) {
      await finish(revision.evaluation);
      await revision.plan();
    }
    const end = time + 3600 * second;
    while (time < end) {
      await send();
      const wait = await wakesAfter();
      expect(wait).toBeGreaterThan(0);
      time += (wait ?? 0) * second;
    }
    expect(github.calls.length).toBeLessThan(8 * 65);
    github.inject(() => undefined);
    await send();
    time += 60 * second;
    await send();
    expect(await unsent()).toBe(0);
    expect(github.runsNamed('ringmaster')).toHaveLength(3);
    expect(github.runs.every((run) => run.versions.at(-1)?.status === 'completed')).toBe(true);
    expect(github.runs).toHaveLength(9);
  });

  it('leaves the whole installation alone as long as GitHub asks for it', async () => {
    const revision = await newRevision(['a']);
    await revision.plan();
    const limited = {
      kind: 'later',
      reason: 'secondary rate limit',
      afterSeconds: 120,
      installationWide: true,
    } as const;
    github.inject(() => ({ kind: 'answer', result: limited }));
    await send();
    const calls = github.calls.length;
    github.inject(() => undefined);
    time += 100 * second;
    await send();
    expect(github.calls).toHaveLength(calls);
    expect(await wakesAfter()).toBeCloseTo(20, -1);
    time += 25 * second;
    await send();
    expect(await unsent()).toBe(0);
  });

  it('creates a run anew that is gone', async () => {
    const revision = await newRevision([]);
    await revision.plan();
    await send();
    github.removeRun(github.runs[0]?.id ?? 0);
    await finish(revision.evaluation);
    await revision.plan();
    await send();
    expect(last('ringmaster')).toMatchObject({ status: 'completed' });
  });

  it('sends a smaller report when GitHub refuses one, and gives up visibly when it refuses that', async () => {
    const revision = await newRevision(['a']);
    await finish(revision.evaluation);
    await revision.plan();
    const refused = { kind: 'refused', reason: 'Validation Failed' } as const;
    let first = true;
    github.inject((call) => {
      if (call.name === 'ringmaster / a') return { kind: 'answer', result: refused };
      if (call.name !== 'ringmaster / evaluation' || !first) return undefined;
      first = false;
      return { kind: 'answer', result: refused };
    });
    await send();
    expect(last('ringmaster / evaluation')).toMatchObject({ conclusion: 'success' });
    expect(last('ringmaster / evaluation')?.text).toBeUndefined();
    const row: unknown = await database.knex('reports').where('name', 'ringmaster / a').first();
    expect(row).toMatchObject({ given_up: true, last_error: 'Validation Failed' });
    expect(last('ringmaster')).toMatchObject({ conclusion: 'success' });
  });

  it('begins a new run when work begins again on a commit that was over', async () => {
    const revision = await newRevision(['a']);
    await finish(revision.evaluation, 'failed');
    await revision.plan();
    await send();
    await database.knex('evaluations').insert({ revision_id: revision.id });
    await revision.plan();
    time += 60 * second;
    await send();
    const gates = github.runsNamed('ringmaster');
    expect(gates.map((run) => run.versions.at(-1)?.status)).toEqual(['completed', 'queued']);
    expect(new Set(gates.map((run) => run.externalId)).size).toBe(2);
  });

  it('stays within the write budget, ends before progress, and goes on later', async () => {
    const paths = Array.from({ length: 40 }, (_, index) => `a${index}`);
    const old = await newRevision(paths);
    await old.plan();
    const done = await newRevision(paths);
    await finish(done.evaluation);
    await done.plan();
    await send();
    expect(github.calls.length).toBeLessThanOrEqual(76);
    expect(github.mostCallsAtOnce()).toBeLessThanOrEqual(8);
    const ended = github.runs.filter((run) => run.versions.at(-1)?.status === 'completed');
    // All of the revision that is over, and the other one's evaluation.
    expect(ended).toHaveLength(43);
    expect(await wakesAfter()).toBeGreaterThan(0);
    for (let round = 0; round < 10 && (await unsent()) > 0; round++) {
      time += ((await wakesAfter()) ?? 0) * second;
      await send();
    }
    expect(await unsent()).toBe(0);
    expect(github.runs).toHaveLength(84);
  });
});

describe('annotations', () => {
  async function withErrors(count: number) {
    const revision = await newRevision([], {
      state: 'failed',
      finished_at: new Date(time),
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
    github.runsNamed('ringmaster / evaluation')[0]?.annotations.map(({ startLine }) => startLine);
  const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

  it('arrive in batches of 50, each once', async () => {
    await (await withErrors(120)).plan();
    await send();
    expect(lines()).toEqual(upTo(120));
    const calls = github.calls.filter((call) => call.name === 'ringmaster / evaluation');
    expect(calls).toHaveLength(3);
  });

  it('arrive once although the answers to their calls were lost', async () => {
    await (await withErrors(120)).plan();
    const lost = new Set<string>();
    github.inject((call) => {
      if (call.name !== 'ringmaster / evaluation' || call.method === 'findCheck' || lost.has(call.method))
        return undefined;
      lost.add(call.method);
      return { kind: 'lost-answer' };
    });
    for (let round = 0; round < 10 && (await unsent()) > 0; round++) {
      await send();
      time += 60 * second;
    }
    expect(lost).toEqual(new Set(['createCheck', 'updateCheck']));
    expect(lines()).toEqual(upTo(120));
    expect(github.runsNamed('ringmaster / evaluation')).toHaveLength(1);
  });
});

describe('the sweep', () => {
  it('plans what is over but not reported so, and wakes the sending of what is unsent', async () => {
    const revision = await newRevision(['a']);
    await revision.plan();
    await finish(revision.evaluation);
    await database.knex('evaluations').update({ finished_at: new Date(time - 3600 * second) });
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
    const revision = await newRevision(['a']);
    await revision.plan();
    github.inject(() => ({ kind: 'answer', result: noAnswer }));
    await send();
    expect(await sweepReports(database.knex)).toEqual({ plannedRevisions: 0, wokenInstallations: 0 });
  });

  it('plans a revision that never got a gate', async () => {
    const revision = await newRevision([]);
    expect((await sweepReports(database.knex)).plannedRevisions).toBe(0);
    await database
      .knex('revisions')
      .where('id', revision.id)
      .update({ created_at: new Date(time - 3600 * second) });
    expect((await sweepReports(database.knex)).plannedRevisions).toBe(1);
  });
});
