import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase, testServers } from '../postgres/test-database.ts';
import { lockGraphForPlanning } from './graph-lock.ts';
import { releaseAttempts } from './leases.ts';
import { infrastructureTries } from './states.ts';
import { drv, openTestQueue, type TestQueue, wanted } from './test-queue.ts';
import type { WantedBuild } from './wanted.ts';

describe.each(testServers)('the build queue on $name', (server) => {
  let queue: TestQueue;

  beforeAll(async () => {
    queue = await openTestQueue(server);
  });
  beforeEach(async () => {
    await queue.knex.raw('TRUNCATE builds, attempts, build_inputs CASCADE');
  });
  afterAll(() => queue.drop());

  test('builds what is ready and holds back what needs it', async () => {
    await queue.enqueue([wanted('app', ['lib']), wanted('lib')]);
    expect(await queue.claimAll()).toEqual(['lib']);
    expect(await queue.claimAll()).toEqual([]);
    await queue.end('lib', 'built');
    expect(await queue.claimAll()).toEqual(['app']);
    await queue.end('app', 'built');
    expect(await queue.states()).toEqual({ app: 'succeeded', lib: 'succeeded' });
  });

  test('a failure ends everything that depends on it, near and far, naming the culprit', async () => {
    await queue.enqueue([
      wanted('app', ['lib', 'docs']),
      wanted('lib', ['base']),
      wanted('docs'),
      wanted('base'),
    ]);
    await queue.claimAll();
    const ended = await queue.end('base', 'failed');
    expect([...ended].sort()).toEqual(['app', 'base', 'lib']);
    expect(await queue.states()).toEqual({
      app: 'dependency-failed',
      lib: 'dependency-failed',
      base: 'failed',
      docs: 'building',
    });
    const app = await queue.knex('builds').where({ name: 'app' }).first();
    const base = await queue.knex('builds').where({ name: 'base' }).first();
    expect(app.culprit_build_id).toBe(base.id);
    expect(app.message).toContain('base');
  });

  test('a derivation that several evaluations want at the same time is one build', async () => {
    const first = await queue.enqueue([wanted('shared')]);
    await queue.claimAll();
    const second = await queue.enqueue([wanted('other', ['shared']), wanted('shared')]);
    expect(second.whole.get(drv('shared'))).toBe(first.whole.get(drv('shared')));
    expect(await queue.claimAll()).toEqual([]);
    await queue.end('shared', 'built');
    expect(await queue.claimAll()).toEqual(['other']);
  });

  test('a finished build never changes: wanting its derivation again makes a new one', async () => {
    await queue.enqueue([wanted('flaky')]);
    await queue.claimAll();
    await queue.end('flaky', 'failed');
    await queue.enqueue([wanted('flaky')]);
    const builds = await queue.knex('builds').orderBy('id').pluck('state');
    expect(builds).toEqual(['failed', 'queued']);
  });

  test('trouble of the machine is tried again after a rest, and given up after some tries', async () => {
    await queue.enqueue([wanted('unlucky')]);
    for (let tries = 1; tries < infrastructureTries; tries += 1) {
      expect(await queue.claimAll()).toEqual(['unlucky']);
      await queue.end('unlucky', 'infrastructure');
      expect(await queue.claimAll(), 'it rests').toEqual([]);
      await queue.knex('builds').update({ not_before: null });
    }
    await queue.claimAll();
    await queue.end('unlucky', 'infrastructure');
    expect(await queue.states()).toEqual({ unlucky: 'builder-lost' });
  });

  test('what a dead process was building is built again, and its late answer is not believed', async () => {
    await queue.enqueue([wanted('long')]);
    await queue.claimAll();
    const lost = await queue.attemptOf('long');
    await queue.knex.transaction((trx) => releaseAttempts(trx, [queue.processId]));
    expect(await queue.claimAll()).toEqual(['long']);
    await queue.complete(lost, 'failed');
    expect(await queue.states()).toEqual({ long: 'building' });
    await queue.end('long', 'built');
    expect(await queue.states()).toEqual({ long: 'succeeded' });
    const attempts = await queue.knex('attempts').orderBy('id').pluck('state');
    expect(attempts).toEqual(['lost', 'ended']);
  });

  test('the answer of an attempt is not taken for another build', async () => {
    await queue.enqueue([wanted('one'), wanted('two')]);
    await queue.claimAll();
    const [one, two] = [await queue.attemptOf('one'), await queue.attemptOf('two')];
    await queue.complete({ attemptId: one.attemptId, buildId: two.buildId }, 'built');
    expect(await queue.states()).toEqual({ one: 'building', two: 'building' });
  });

  test('a builder that prints zero bytes fails like any other', async () => {
    await queue.enqueue([wanted('binary')]);
    await queue.claimAll();
    await queue.complete(await queue.attemptOf('binary'), 'failed', 'last lines:\n> a\0b');
    const build = await queue.knex('builds').first();
    expect(build).toMatchObject({ state: 'failed', message: 'last lines:\n> a\u{fffd}b' });
  });

  test('builds that share dependents end at the same time without a deadlock', async () => {
    const inputs = Array.from({ length: 24 }, (_, index) => `input${index}`);
    const shared = Array.from({ length: 40 }, (_, index) =>
      wanted(`shared${index}`, index % 2 === 0 ? inputs : [...inputs].reverse()),
    );
    await queue.enqueue([...shared, ...inputs.map((name) => wanted(name))]);
    await queue.claimAll();
    await Promise.all(inputs.map((name, index) => queue.end(name, index === 20 ? 'failed' : 'built')));
    const ends = await queue.states();
    expect(new Set(shared.map(({ name }) => ends[name]))).toEqual(new Set(['dependency-failed']));
  });

  test('a shell of which only the inputs are wanted ends with them and is never built', async () => {
    const shell = { ...wanted('shell', ['tool', 'lib']), inputsOnly: true };
    await queue.enqueue([shell, wanted('tool'), wanted('lib')]);
    expect((await queue.claimAll()).sort()).toEqual(['lib', 'tool']);
    expect(await queue.end('tool', 'built')).toEqual(['tool']);
    expect((await queue.end('lib', 'built')).sort()).toEqual(['lib', 'shell']);
    expect(await queue.states()).toEqual({ shell: 'succeeded', tool: 'succeeded', lib: 'succeeded' });
    expect(await queue.claimAll()).toEqual([]);
  });

  test('what is wanted whole by one and for its inputs by another is built, once', async () => {
    await queue.enqueue([
      { ...wanted('tool', ['lib']), inputsOnly: true },
      wanted('tool', ['lib']),
      wanted('lib'),
    ]);
    expect(await queue.claimAll()).toEqual(['lib']);
    expect((await queue.end('lib', 'built')).sort()).toEqual(['lib', 'tool']);
    expect(await queue.claimAll()).toEqual(['tool']);
  });

  test('a system or feature no builder has ends the build at once with the reason', async () => {
    await queue.enqueue([
      { ...wanted('mac'), system: 'aarch64-darwin' },
      { ...wanted('vm'), requiredFeatures: ['kvm'] },
      { ...wanted('big'), requiredFeatures: ['big-parallel'] },
      { ...wanted('fetch'), system: 'builtin' },
      wanted('needs-mac', ['mac']),
    ]);
    expect(await queue.states()).toEqual({
      mac: 'unsupported-system',
      vm: 'queued',
      big: 'unsupported-system',
      fetch: 'queued',
      'needs-mac': 'dependency-failed',
    });
    const big = await queue.knex('builds').where({ name: 'big' }).first();
    expect(big.message).toContain('big-parallel');
  });

  test('thousands of jobs for a system that is not there cost a handful of statements', async () => {
    const statements: unknown[] = [];
    const counted = (query: unknown) => statements.push(query);
    queue.knex.on('query', counted);
    const names = Array.from({ length: 1_000 }, (_, index) => `mac${index}`);
    await queue.enqueue(names.map((name) => ({ ...wanted(name), system: 'aarch64-darwin' })));
    queue.knex.off('query', counted);
    expect(new Set(Object.values(await queue.states()))).toEqual(new Set(['unsupported-system']));
    expect(statements.length).toBeLessThan(20);
  });

  test('claims at the same time never hand out one build twice', async () => {
    const names = Array.from({ length: 60 }, (_, index) => `n${index}`);
    await queue.enqueue(names.map((name) => wanted(name)));
    const claims = await Promise.all(Array.from({ length: 30 }, () => queue.claim(2)));
    const claimed = claims.flat();
    expect(claimed).toHaveLength(60);
    expect(new Set(claimed).size).toBe(60);
  });

  test('any graph built by any number of workers ends, inputs first, each derivation once', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async ({ builds, failing }) => {
        await queue.knex.raw('TRUNCATE builds, attempts, build_inputs CASCADE');
        await queue.enqueue(builds);
        const started: string[] = [];
        const worker = async () => {
          for (let idle = 0; idle < 2; ) {
            const [name] = await queue.claim(1);
            if (name === undefined) {
              idle += 1;
              continue;
            }
            started.push(name);
            const inputs = builds.find((build) => build.name === name)?.inputs ?? [];
            const now = await queue.states();
            for (const input of inputs) expect(now[input.slice(11, -4)]).toBe('succeeded');
            await queue.end(name, failing.has(name) ? 'failed' : 'built');
            idle = 0;
          }
        };
        // Workers that find nothing stop early; the last one sees the rest through.
        await Promise.all([worker(), worker(), worker()]);
        await worker();
        expect(new Set(started).size).toBe(started.length);
        const final = await queue.states();
        for (const build of builds) expect(final[build.name]).toBe(expectedState(build, builds, failing));
      }),
      { numRuns: 15 },
    );
  });
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
