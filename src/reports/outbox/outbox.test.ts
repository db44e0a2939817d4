import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { resumeReports } from './resume.ts';
import { Crash, noAnswer } from './test-github.ts';
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

describe('the outbox', () => {
  it('creates the gate before every other check and ends it after them', async () => {
    const revision = await outbox.newRevision(['a', 'b']);
    await outbox.finish(revision);
    await revision.plan();
    await outbox.send();
    const writes = outbox.github.calls.filter((call) => call.method !== 'setStatus');
    expect(writes[0]).toEqual({ method: 'createCheck', name: 'ringmaster' });
    expect(outbox.github.runsNamed('ringmaster')[0]?.versions[0]?.status).toBe('in_progress');
    expect(writes.at(-1)).toEqual({ method: 'updateCheck', name: 'ringmaster' });
    expect(outbox.last('ringmaster')).toMatchObject({ status: 'completed', conclusion: 'success' });
    expect(outbox.github.statuses.map((status) => status.state)).toEqual(['success']);
    expect(await outbox.unsent()).toBe(0);
  });

  it('keeps the other checks back while the gate cannot be created', async () => {
    const revision = await outbox.newRevision(['a']);
    await revision.plan();
    outbox.github.inject((call) =>
      call.name === 'ringmaster' ? { kind: 'answer', result: noAnswer } : undefined,
    );
    await outbox.send();
    expect(outbox.github.runs).toEqual([]);
    outbox.github.inject(() => undefined);
    outbox.pass(60 * second);
    await outbox.send();
    expect(outbox.github.runs.map((run) => run.versions[0]?.name)[0]).toBe('ringmaster');
    expect(outbox.github.runs).toHaveLength(3);
  });

  it('writes nothing when a plan says what the last one said', async () => {
    const revision = await outbox.newRevision(['a']);
    expect(await revision.plan()).toBeGreaterThan(0);
    expect(await revision.plan()).toBe(0);
  });

  it('sends only the newest of many wishes, and no progress once the end is known', async () => {
    const revision = await outbox.newRevision(['a']);
    await revision.plan();
    await database.knex('builds').update({ state: 'building', started_at: outbox.now() });
    await revision.plan();
    await outbox.finish(revision);
    await revision.plan();
    await outbox.send();
    expect(outbox.github.runsNamed('ringmaster / a')[0]?.versions.map((version) => version.status)).toEqual([
      'completed',
    ]);
    expect(outbox.github.statuses).toHaveLength(1);
  });

  it('says soon after its opening what a gate is about, and then the more seldom', async () => {
    const revision = await outbox.newRevision([], { state: 'queued', started_at: null, evaluated_at: null });
    await revision.plan();
    await outbox.send();
    expect(outbox.last('ringmaster')?.title).toBe('Waiting to be evaluated');
    const evaluation = () => database.knex('evaluations').where({ id: revision.evaluation });
    await evaluation().update({ state: 'evaluating', started_at: new Date(outbox.now()) });
    const waits: (number | undefined)[] = [];
    for (const jobs of [1, 2]) {
      await database.knex('jobs').insert({ evaluation_id: revision.evaluation, path: [`a${jobs}`] });
      await revision.plan();
      await outbox.send();
      const wait = (await outbox.wakesAfter()) ?? 0;
      waits.push(wait);
      outbox.pass(wait * second);
      await outbox.send();
      expect(outbox.last('ringmaster')?.title).toMatch(new RegExp(`^Evaluating ci.nix: ${jobs} attribute`));
    }
    expect(waits).toEqual([2, 2]);
  });

  it('sends an end that was wished for while progress was being sent', async () => {
    const revision = await outbox.newRevision(['a']);
    await revision.plan();
    let finished = false;
    outbox.github.whileCalled(async (call) => {
      if (call.name !== 'ringmaster / a' || finished) return;
      finished = true;
      await outbox.finish(revision);
      await revision.plan();
    });
    await outbox.send();
    expect(outbox.last('ringmaster / a')).toMatchObject({ conclusion: 'success' });
    expect(outbox.last('ringmaster')).toMatchObject({ conclusion: 'success' });
    expect(await outbox.unsent()).toBe(0);
  });

  it('makes one run of a check whose creation was not stored before a crash', async () => {
    const revision = await outbox.newRevision(['a']);
    await revision.plan();
    outbox.github.inject((call) => (call.method === 'createCheck' ? { kind: 'crash' } : undefined));
    await expect(outbox.send()).rejects.toThrow(Crash);
    expect(outbox.github.runs).toHaveLength(1);
    outbox.github.inject(() => undefined);
    await outbox.finish(revision);
    await revision.plan();
    outbox.restart();
    await outbox.send();
    expect(outbox.github.runsNamed('ringmaster')).toHaveLength(1);
    expect(outbox.last('ringmaster')).toMatchObject({ conclusion: 'success' });
  });

  it('sends the newest once more when an older one landed last, from a sender taken for dead', async () => {
    const revision = await outbox.newRevision(['a']);
    await revision.plan();
    await outbox.send();
    outbox.pass(60 * second);
    await database.knex('builds').update({ state: 'building', started_at: outbox.now() });
    await revision.plan();
    let overtaken = false;
    outbox.github.whileCalled(async (call) => {
      if (call.name !== 'ringmaster / a' || overtaken) return;
      overtaken = true;
      await outbox.finish(revision);
      await revision.plan();
      await outbox.send();
    });
    await outbox.send();
    const versions = outbox.github.runsNamed('ringmaster / a')[0]?.versions.map(({ status }) => status);
    expect(versions).toEqual(['queued', 'completed', 'in_progress', 'completed']);
  });

  it('creates a check whose creation never arrived', async () => {
    const revision = await outbox.newRevision([]);
    await revision.plan();
    outbox.github.inject(() => ({ kind: 'answer', result: noAnswer }));
    await outbox.send();
    outbox.github.inject(() => undefined);
    outbox.pass(60 * second);
    await outbox.send();
    expect(outbox.github.runsNamed('ringmaster')).toHaveLength(1);
    expect(await outbox.unsent()).toBe(0);
  });

  it('sends everything after an hour without GitHub, having asked only now and then', async () => {
    const revisions = [
      await outbox.newRevision(['a']),
      await outbox.newRevision(['b']),
      await outbox.newRevision(['c']),
    ];
    outbox.github.inject(() => ({ kind: 'answer', result: noAnswer }));
    for (const revision of revisions) {
      await outbox.finish(revision);
      await revision.plan();
    }
    const end = outbox.now().getTime() + 3600 * second;
    while (outbox.now().getTime() < end) {
      await outbox.send();
      const wait = await outbox.wakesAfter();
      expect(wait).toBeGreaterThan(0);
      outbox.pass((wait ?? 0) * second);
    }
    expect(outbox.github.calls.length).toBeLessThan(8 * 65);
    outbox.github.inject(() => undefined);
    await outbox.send();
    outbox.pass(60 * second);
    await outbox.send();
    expect(await outbox.unsent()).toBe(0);
    expect(outbox.github.runsNamed('ringmaster')).toHaveLength(3);
    expect(outbox.github.runs.every((run) => run.versions.at(-1)?.status === 'completed')).toBe(true);
    expect(outbox.github.runs).toHaveLength(9);
  });

  it('leaves the whole installation alone as long as GitHub asks for it', async () => {
    const revision = await outbox.newRevision(['a']);
    await revision.plan();
    const limited = {
      kind: 'later',
      reason: 'secondary rate limit',
      afterSeconds: 120,
      installationWide: true,
    } as const;
    outbox.github.inject(() => ({ kind: 'answer', result: limited }));
    await outbox.send();
    const calls = outbox.github.calls.length;
    outbox.github.inject(() => undefined);
    outbox.pass(100 * second);
    await outbox.send();
    expect(outbox.github.calls).toHaveLength(calls);
    expect(await outbox.wakesAfter()).toBeCloseTo(20, -1);
    outbox.pass(25 * second);
    await outbox.send();
    expect(await outbox.unsent()).toBe(0);
  });

  it('creates a run anew that is gone', async () => {
    const revision = await outbox.newRevision([]);
    await revision.plan();
    await outbox.send();
    outbox.github.removeRun(outbox.github.runs[0]?.id ?? 0);
    await outbox.finish(revision);
    await revision.plan();
    await outbox.send();
    expect(outbox.last('ringmaster')).toMatchObject({ status: 'completed' });
  });

  it('sends a smaller report when GitHub refuses one, and gives up visibly when it refuses that', async () => {
    const revision = await outbox.newRevision(['a']);
    await outbox.finish(revision);
    await revision.plan();
    const refused = { kind: 'refused', reason: 'Validation Failed' } as const;
    let first = true;
    outbox.github.inject((call) => {
      if (call.name === 'ringmaster / a') return { kind: 'answer', result: refused };
      if (call.name !== 'ringmaster / evaluation' || !first) return undefined;
      first = false;
      return { kind: 'answer', result: refused };
    });
    await outbox.send();
    expect(outbox.last('ringmaster / evaluation')).toMatchObject({ conclusion: 'success' });
    expect(outbox.last('ringmaster / evaluation')?.text).toBeUndefined();
    const row: unknown = await database.knex('reports').where('name', 'ringmaster / a').first();
    expect(row).toMatchObject({ given_up: true, last_error: 'Validation Failed' });
    expect(outbox.last('ringmaster')).toMatchObject({ conclusion: 'success' });
  });

  it('asks again for a gate that GitHub refuses, a few times, since a commit may be too new for it', async () => {
    const revision = await outbox.newRevision([]);
    await outbox.finish(revision);
    await revision.plan();
    const unknown = { kind: 'refused', reason: 'No commit found for SHA', misplaced: true } as const;
    let refusals = 2;
    outbox.github.inject(() => (refusals-- > 0 ? { kind: 'answer', result: unknown } : undefined));
    await outbox.send();
    expect(await outbox.unsent()).toBe(3);
    expect(outbox.github.runs).toEqual([]);
    outbox.pass(5 * second);
    await outbox.send();
    expect(outbox.last('ringmaster')).toMatchObject({
      conclusion: 'success',
      title: expect.stringMatching(/^Nothing to build/),
    });
    expect(outbox.last('ringmaster')?.summary).toContain('Everything about this commit');
  });

  it('gives a gate up that GitHub keeps refusing, and tries it anew when GitHub lets us do more', async () => {
    const revision = await outbox.newRevision([]);
    await outbox.finish(revision);
    await revision.plan();
    const forbidden = { kind: 'refused', reason: 'Resource not accessible by integration' } as const;
    outbox.github.inject(() => ({ kind: 'answer', result: forbidden }));
    for (let tries = 0; tries < 10; tries++) {
      await outbox.send();
      outbox.pass(60 * second);
    }
    expect(await outbox.unsent()).toBe(0);
    const calls = outbox.github.calls.length;
    expect(calls).toBeLessThan(30);
    outbox.github.inject(() => undefined);
    await resumeReports(database.knex, 7);
    await outbox.send();
    expect(outbox.last('ringmaster')).toMatchObject({ conclusion: 'success' });
    expect(outbox.github.statuses.at(-1)).toMatchObject({ state: 'success' });
  });

  it('sends what was meant for the installation that a repository had before to the new one', async () => {
    const revision = await outbox.newRevision([]);
    await revision.plan();
    await database
      .knex('installations')
      .where({ id: 7 })
      .update({ paused_until: new Date('2999-01-01') });
    await database.knex('installations').insert({ id: 8, account_login: 'umbrella' });
    await database.knex('projects').update({ installation_id: 8, owner: 'umbrella' });
    await resumeReports(database.knex, 8);
    await outbox.send(8);
    expect(outbox.last('ringmaster')).toMatchObject({ status: 'in_progress' });
    expect(await outbox.unsent()).toBe(0);
  });

  it('begins a new run when work begins again on a commit that was over', async () => {
    const revision = await outbox.newRevision(['a']);
    await outbox.finish(revision, 'failed');
    await revision.plan();
    await outbox.send();
    await database.knex('evaluations').insert({ revision_id: revision.id });
    await revision.plan();
    outbox.pass(60 * second);
    await outbox.send();
    const gates = outbox.github.runsNamed('ringmaster');
    expect(gates.map((run) => run.versions.at(-1)?.status)).toEqual(['completed', 'in_progress']);
    expect(new Set(gates.map((run) => run.externalId)).size).toBe(2);
  });

  it('stays within the write budget, ends before progress, and goes on later', async () => {
    const paths = Array.from({ length: 40 }, (_, index) => `a${index}`);
    const old = await outbox.newRevision(paths);
    await old.plan();
    const done = await outbox.newRevision(paths);
    await outbox.finish(done);
    await done.plan();
    await outbox.send();
    expect(outbox.github.calls.length).toBeLessThanOrEqual(76);
    expect(outbox.github.mostCallsAtOnce()).toBeLessThanOrEqual(8);
    const ended = outbox.github.runs.filter((run) => run.versions.at(-1)?.status === 'completed');
    // All of the revision that is over, and the other one's evaluation.
    expect(ended).toHaveLength(43);
    expect(await outbox.wakesAfter()).toBeGreaterThan(0);
    for (let round = 0; round < 10 && (await outbox.unsent()) > 0; round++) {
      outbox.pass(((await outbox.wakesAfter()) ?? 0) * second);
      await outbox.send();
    }
    expect(await outbox.unsent()).toBe(0);
    expect(outbox.github.runs).toHaveLength(84);
  });
});
