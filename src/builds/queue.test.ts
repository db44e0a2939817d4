import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RealiseStatus } from '../nix/index.ts';
import { createTestDatabase, type TestDatabase, testServers } from '../postgres/test-database.ts';
import { claimBuilds } from './claim.ts';
import { completeAttempt } from './complete.ts';
import { enqueueBuilds, type WantedBuild } from './enqueue.ts';
import { lockGraphForPlanning } from './graph-lock.ts';
import { releaseAttempts } from './leases.ts';
import { infrastructureTries } from './states.ts';

const builder = {
  name: 'local',
  systems: ['x86_64-linux'],
  features: ['kvm'],
  mandatoryFeatures: [],
  trustDomains: ['trusted'],
  slots: 100,
  speed: 1,
};

describe.each(testServers)('the build queue on $name', (server) => {
  let database: TestDatabase;
  let processId: number;
  let builderId: number;

  beforeAll(async () => {
    database = await createTestDatabase(server);
    const [row] = await database
      .knex('processes')
      .insert({
        host: 'test',
        boot_id: 'b',
        pid_namespace: 'n',
        pid: 1,
        pid_started: '1',
        roles: [],
        task_worker_ids: [],
      })
      .returning('id');
    processId = row.id;
    const [inserted] = await database
      .knex('builders')
      .insert({
        name: 'local',
        kind: 'local',
        systems: builder.systems,
        features: builder.features,
        slots: 2,
        process_id: processId,
      })
      .returning('id');
    builderId = inserted.id;
  });
  beforeEach(async () => {
    await database.knex.raw('TRUNCATE builds, attempts, build_inputs CASCADE');
  });
  afterAll(() => database.drop());

  test('builds what is ready and holds back what needs it', async () => {
    await enqueue([wanted('app', ['lib']), wanted('lib')]);
    expect(await claimAll()).toEqual(['lib']);
    expect(await claimAll()).toEqual([]);
    await end('lib', 'built');
    expect(await claimAll()).toEqual(['app']);
    await end('app', 'built');
    expect(await states()).toEqual({ app: 'succeeded', lib: 'succeeded' });
  });

  test('a failure ends everything that depends on it, near and far, naming the culprit', async () => {
    await enqueue([wanted('app', ['lib', 'docs']), wanted('lib', ['base']), wanted('docs'), wanted('base')]);
    await claimAll();
    const ended = await end('base', 'failed');
    expect([...ended].sort()).toEqual(['app', 'base', 'lib']);
    expect(await states()).toEqual({
      app: 'dependency-failed',
      lib: 'dependency-failed',
      base: 'failed',
      docs: 'building',
    });
    const app = await database.knex('builds').where({ name: 'app' }).first();
    const base = await database.knex('builds').where({ name: 'base' }).first();
    expect(app.culprit_build_id).toBe(base.id);
    expect(app.message).toContain('base');
  });

  test('a derivation that several evaluations want at the same time is one build', async () => {
    const first = await enqueue([wanted('shared')]);
    await claimAll();
    const second = await enqueue([wanted('other', ['shared']), wanted('shared')]);
    expect(second.whole.get(drv('shared'))).toBe(first.whole.get(drv('shared')));
    expect(await claimAll()).toEqual([]);
    await end('shared', 'built');
    expect(await claimAll()).toEqual(['other']);
  });

  test('a finished build never changes: wanting its derivation again makes a new one', async () => {
    await enqueue([wanted('flaky')]);
    await claimAll();
    await end('flaky', 'failed');
    await enqueue([wanted('flaky')]);
    const builds = await database.knex('builds').orderBy('id').pluck('state');
    expect(builds).toEqual(['failed', 'queued']);
  });

  test('trouble of the machine is tried again after a rest, and given up after some tries', async () => {
    await enqueue([wanted('unlucky')]);
    for (let tries = 1; tries < infrastructureTries; tries += 1) {
      expect(await claimAll()).toEqual(['unlucky']);
      await end('unlucky', 'infrastructure');
      expect(await claimAll(), 'it rests').toEqual([]);
      await database.knex('builds').update({ not_before: null });
    }
    await claimAll();
    await end('unlucky', 'infrastructure');
    expect(await states()).toEqual({ unlucky: 'builder-lost' });
  });

  test('what a dead process was building is built again, and its late answer is not believed', async () => {
    await enqueue([wanted('long')]);
    await claimAll();
    const lost = await attemptOf('long');
    await database.knex.transaction((trx) => releaseAttempts(trx, [processId]));
    expect(await claimAll()).toEqual(['long']);
    await complete(lost, 'failed');
    expect(await states()).toEqual({ long: 'building' });
    await end('long', 'built');
    expect(await states()).toEqual({ long: 'succeeded' });
    const attempts = await database.knex('attempts').orderBy('id').pluck('state');
    expect(attempts).toEqual(['lost', 'ended']);
  });

  test('the answer of an attempt is not taken for another build', async () => {
    await enqueue([wanted('one'), wanted('two')]);
    await claimAll();
    const [one, two] = [await attemptOf('one'), await attemptOf('two')];
    await complete({ attemptId: one.attemptId, buildId: two.buildId }, 'built');
    expect(await states()).toEqual({ one: 'building', two: 'building' });
  });

  test('a builder that prints zero bytes fails like any other', async () => {
    await enqueue([wanted('binary')]);
    await claimAll();
    await complete(await attemptOf('binary'), 'failed', 'last lines:\n> a\0b');
    const build = await database.knex('builds').first();
    expect(build).toMatchObject({ state: 'failed', message: 'last lines:\n> a\u{fffd}b' });
  });

  test('builds that share dependents end at the same time without a deadlock', async () => {
    const inputs = Array.from({ length: 24 }, (_, index) => `input${index}`);
    const shared = Array.from({ length: 40 }, (_, index) =>
      wanted(`shared${index}`, index % 2 === 0 ? inputs : [...inputs].reverse()),
    );
    await enqueue([...shared, ...inputs.map((name) => wanted(name))]);
    await claimAll();
    await Promise.all(inputs.map((name, index) => end(name, index === 20 ? 'failed' : 'built')));
    const ends = await states();
    expect(new Set(shared.map(({ name }) => ends[name]))).toEqual(new Set(['dependency-failed']));
  });

  test('a shell of which only the inputs are wanted ends with them and is never built', async () => {
    const shell = { ...wanted('shell', ['tool', 'lib']), inputsOnly: true };
    await enqueue([shell, wanted('tool'), wanted('lib')]);
    expect((await claimAll()).sort()).toEqual(['lib', 'tool']);
    expect(await end('tool', 'built')).toEqual(['tool']);
    expect((await end('lib', 'built')).sort()).toEqual(['lib', 'shell']);
    expect(await states()).toEqual({ shell: 'succeeded', tool: 'succeeded', lib: 'succeeded' });
    expect(await claimAll()).toEqual([]);
  });

  test('what is wanted whole by one and for its inputs by another is built, once', async () => {
    await enqueue([{ ...wanted('tool', ['lib']), inputsOnly: true }, wanted('tool', ['lib']), wanted('lib')]);
    expect(await claimAll()).toEqual(['lib']);
    expect((await end('lib', 'built')).sort()).toEqual(['lib', 'tool']);
    expect(await claimAll()).toEqual(['tool']);
  });

  test('a system or feature no builder has ends the build at once with the reason', async () => {
    await enqueue([
      { ...wanted('mac'), system: 'aarch64-darwin' },
      { ...wanted('vm'), requiredFeatures: ['kvm'] },
      { ...wanted('big'), requiredFeatures: ['big-parallel'] },
      { ...wanted('fetch'), system: 'builtin' },
      wanted('needs-mac', ['mac']),
    ]);
    expect(await states()).toEqual({
      mac: 'unsupported-system',
      vm: 'queued',
      big: 'unsupported-system',
      fetch: 'queued',
      'needs-mac': 'dependency-failed',
    });
    const big = await database.knex('builds').where({ name: 'big' }).first();
    expect(big.message).toContain('big-parallel');
  });

  test('thousands of jobs for a system that is not there cost a handful of statements', async () => {
    const statements: unknown[] = [];
    const counted = (query: unknown) => statements.push(query);
    database.knex.on('query', counted);
    const names = Array.from({ length: 1_000 }, (_, index) => `mac${index}`);
    await enqueue(names.map((name) => ({ ...wanted(name), system: 'aarch64-darwin' })));
    database.knex.off('query', counted);
    expect(new Set(Object.values(await states()))).toEqual(new Set(['unsupported-system']));
    expect(statements.length).toBeLessThan(20);
  });

  test('claims at the same time never hand out one build twice', async () => {
    const names = Array.from({ length: 60 }, (_, index) => `n${index}`);
    await enqueue(names.map((name) => wanted(name)));
    const claims = await Promise.all(Array.from({ length: 30 }, () => claim(2)));
    const claimed = claims.flat();
    expect(claimed).toHaveLength(60);
    expect(new Set(claimed).size).toBe(60);
  });

  test('any graph built by any number of workers ends, inputs first, each derivation once', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async ({ builds, failing }) => {
        await database.knex.raw('TRUNCATE builds, attempts, build_inputs CASCADE');
        await enqueue(builds);
        const started: string[] = [];
        const worker = async () => {
          for (let idle = 0; idle < 2; ) {
            const [name] = await claim(1);
            if (name === undefined) {
              idle += 1;
              continue;
            }
            started.push(name);
            const inputs = builds.find((build) => build.name === name)?.inputs ?? [];
            const now = await states();
            for (const input of inputs) expect(now[input.slice(11, -4)]).toBe('succeeded');
            await end(name, failing.has(name) ? 'failed' : 'built');
            idle = 0;
          }
        };
        // Workers that find nothing stop early; the last one sees the rest through.
        await Promise.all([worker(), worker(), worker()]);
        await worker();
        expect(new Set(started).size).toBe(started.length);
        const final = await states();
        for (const build of builds) expect(final[build.name]).toBe(expectedState(build, builds, failing));
      }),
      { numRuns: 15 },
    );
  });

  async function enqueue(builds: readonly WantedBuild[]) {
    return database.knex.transaction((trx) => enqueueBuilds(trx, builds));
  }

  async function claim(count: number): Promise<string[]> {
    const builders = [{ ...builder, id: builderId, free: count }];
    const claim = await database.knex.transaction((trx) => claimBuilds(trx, { builders, processId }));
    return claim.builds.map((build) => build.name);
  }

  function claimAll(): Promise<string[]> {
    return claim(100);
  }

  async function attemptOf(name: string): Promise<Attempt> {
    const row = await database
      .knex('attempts')
      .join('builds', 'builds.id', 'attempts.build_id')
      .where({ 'builds.name': name, 'attempts.state': 'running' })
      .first('attempts.id', 'build_id');
    return { attemptId: row.id, buildId: row.build_id };
  }

  async function end(name: string, status: RealiseStatus): Promise<string[]> {
    return complete(await attemptOf(name), status);
  }

  async function complete(attempt: Attempt, status: RealiseStatus, message = ''): Promise<string[]> {
    const now = new Date();
    const ended: number[] = [];
    await database.knex.transaction((trx) =>
      completeAttempt(
        trx,
        attempt,
        { status, message, outputs: {}, startedAt: now, finishedAt: now },
        async (_, ids) => {
          ended.push(...ids);
        },
      ),
    );
    return database.knex('builds').whereIn('id', ended).pluck('name');
  }

  async function states(): Promise<Record<string, string>> {
    const rows = await database.knex('builds').select('name', 'state').orderBy('id');
    return Object.fromEntries(rows.map((row) => [row.name, row.state]));
  }
});

test('planning waits while a build is being finished', async () => {
  const database = await createTestDatabase();
  const order: string[] = [];
  await database.knex.transaction(async (finishing) => {
    await finishing.raw('SELECT pg_advisory_xact_lock_shared(7464100001)');
    const planning = database.knex.transaction(async (trx) => {
      await lockGraphForPlanning(trx);
      order.push('planned');
    });
    await expect
      .poll(
        async () => (await database.knex('pg_locks').where({ locktype: 'advisory', granted: false })).length,
      )
      .toBe(1);
    order.push('finished');
    void planning.finally(() => {});
  });
  await expect.poll(() => order).toEqual(['finished', 'planned']);
  await database.drop();
});

interface Attempt {
  readonly attemptId: number;
  readonly buildId: number;
}

function drv(name: string): string {
  return `/nix/store/${name}.drv`;
}

function wanted(name: string, inputs: readonly string[] = []): WantedBuild {
  return {
    drvPath: drv(name),
    name,
    system: 'x86_64-linux',
    requiredFeatures: [],
    inputsOnly: false,
    outputs: { out: `/nix/store/${name}` },
    inputs: inputs.map(drv),
  };
}

/** Graphs in which every build may only need later ones, with some that fail. */
const graphs = fc.integer({ min: 1, max: 8 }).chain((size) =>
  fc.record({
    builds: fc.tuple(
      ...Array.from({ length: size }, (_, index) =>
        fc
          .subarray(Array.from({ length: size - index - 1 }, (_, offset) => `b${index + offset + 1}`))
          .map((inputs) => wanted(`b${index}`, inputs)),
      ),
    ),
    failing: fc
      .subarray(Array.from({ length: size }, (_, index) => `b${index}`))
      .map((names) => new Set(names)),
  }),
);

function expectedState(
  build: WantedBuild,
  all: readonly WantedBuild[],
  failing: ReadonlySet<string>,
): string {
  const inputs = all.filter((other) => build.inputs.includes(other.drvPath));
  if (inputs.some((input) => expectedState(input, all, failing) !== 'succeeded')) return 'dependency-failed';
  return failing.has(build.name) ? 'failed' : 'succeeded';
}
