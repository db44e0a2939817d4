import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AssignRequest, assignBuilds, type BuilderCapacity, type Candidate } from './assign.ts';
import { canTake, type Lane } from './capability.ts';

const linux = 'x86_64-linux';

describe('assigning ready builds to builders', () => {
  test('takes higher priorities first, then the longest remaining path, then the oldest', () => {
    const candidates = [build(3, { priority: 5 }), build(2, { remainingMs: 900 }), build(1)];
    expect(order({ lanes: [waiting(lane(), candidates)], builders: [builder(1, { free: 3 })] })).toEqual([
      3, 2, 1,
    ]);
  });

  test('gives every project its share, whoever asked first and for how much', () => {
    const lanes = [
      waiting(
        lane({ projectId: 1 }),
        [1, 2, 3, 4, 5, 6].map((id) => build(id)),
      ),
      waiting(
        lane({ projectId: 2 }),
        [7, 8].map((id) => build(id)),
      ),
    ];
    expect(order({ lanes, builders: [builder(1, { free: 4 })] })).toEqual([1, 7, 2, 8]);
    const running = new Map([[1, 2]]);
    expect(order({ lanes, builders: [builder(1, { free: 2 })], running })).toEqual([7, 8]);
  });

  test('keeps builders with rare features for builds that need them', () => {
    const lanes = [
      waiting(
        lane({ projectId: 1 }),
        [1, 2, 3].map((id) => build(id, { remainingMs: 10_000 })),
      ),
      waiting(lane({ projectId: 2, requiredFeatures: ['kvm'] }), [build(9)]),
    ];
    const builders = [
      builder(1, { features: ['kvm'], free: 1, slots: 1 }),
      builder(2, { free: 2, slots: 2 }),
    ];
    expect(pairs({ lanes, builders })).toEqual({ 9: 1, 1: 2, 2: 2 });
  });

  test('lets plain builds use such builders while nothing needs them', () => {
    const builders = [builder(1, { features: ['kvm'], free: 1, slots: 1 })];
    expect(pairs({ lanes: [waiting(lane(), [build(1)])], builders })).toEqual({ 1: 1 });
  });

  test('an urgent plain build goes to a plain builder even when the rare one has more room', () => {
    const lanes = [
      waiting(lane(), [build(1, { priority: 9 })]),
      waiting(lane({ requiredFeatures: ['kvm'] }), [build(2)]),
    ];
    const builders = [builder(1, { features: ['kvm'], free: 8, slots: 8 }), builder(2)];
    expect(pairs({ lanes, builders })).toEqual({ 1: 2, 2: 1 });
  });

  test('chooses by free slots and speed', () => {
    const lanes = [
      waiting(
        lane(),
        [1, 2, 3].map((id) => build(id)),
      ),
    ];
    const builders = [builder(1, { free: 2 }), builder(2, { free: 2, speed: 3 })];
    expect(pairs({ lanes, builders })).toEqual({ 1: 2, 2: 2, 3: 1 });
  });

  test('a build does not go back to the machine that failed on it, and holds up nobody behind it', () => {
    const lanes = [waiting(lane(), [build(1, { excluded: [1] }), build(2)])];
    expect(pairs({ lanes, builders: [builder(1)] })).toEqual({ 2: 1 });
    expect(pairs({ lanes, builders: [builder(1, { free: 0 }), builder(2)] })).toEqual({ 1: 2 });
  });

  test('lower priorities wait when more of the higher one than were looked at may be there', () => {
    const lanes = [
      { ...waiting(lane({ projectId: 1 }), [build(1, { priority: 1 })]), truncated: true },
      waiting(lane({ projectId: 2 }), [build(2)]),
    ];
    const { assignments, more } = assignBuilds({
      lanes,
      builders: [builder(1, { free: 4 })],
      running: new Map(),
    });
    expect(assignments.map(({ buildId }) => buildId)).toEqual([1]);
    expect(more).toBe(true);
  });

  test('never gives a builder more than it has room for, or what it cannot take', () => {
    fc.assert(
      fc.property(requests, (request) => {
        const { assignments } = assignBuilds(request);
        const lanes = new Map(
          request.lanes.flatMap(({ lane: of, candidates }) => candidates.map(({ id }) => [id, of] as const)),
        );
        expect(new Set(assignments.map(({ buildId }) => buildId)).size).toBe(assignments.length);
        for (const { id, free } of request.builders) {
          const here = assignments.filter((one) => one.builder.id === id);
          expect(here.length).toBeLessThanOrEqual(free);
        }
        for (const { buildId, builder: by } of assignments) {
          const of = lanes.get(buildId);
          expect(of && canTake(by, of)).toBe(true);
        }
        // Nobody idles while something waits that it could take.
        const taken = new Set(assignments.map(({ buildId }) => buildId));
        for (const by of request.builders) {
          const used = assignments.filter((one) => one.builder.id === by.id).length;
          if (used >= by.free) continue;
          for (const [id, of] of lanes) if (!taken.has(id)) expect(canTake(by, of)).toBe(false);
        }
      }),
    );
  });
});

describe('what a builder can take', () => {
  test.each([
    [{}, {}, true],
    [{ system: 'aarch64-linux' }, {}, false],
    [{ system: 'builtin' }, {}, true],
    [{ requiredFeatures: ['kvm'] }, {}, false],
    [{ requiredFeatures: ['kvm'] }, { features: ['kvm', 'big'] }, true],
    [{}, { mandatoryFeatures: ['gpu'] }, false],
    [{ requiredFeatures: ['gpu'] }, { mandatoryFeatures: ['gpu'] }, true],
    [{ trustDomain: 'untrusted' }, {}, false],
    [{ trustDomain: 'untrusted' }, { trustDomains: ['untrusted'] }, true],
  ] as const)('a build of %j on a builder of %j: %s', (of, by, yes) => {
    expect(canTake(builder(1, by), lane(of))).toBe(yes);
  });
});

type Request = Omit<AssignRequest, 'running'> & Partial<AssignRequest>;

function order(request: Request): number[] {
  return assignBuilds({ running: new Map(), ...request }).assignments.map(({ buildId }) => buildId);
}

/** Build -> builder. */
function pairs(request: Request): Record<number, number> {
  const { assignments } = assignBuilds({ running: new Map(), ...request });
  return Object.fromEntries(assignments.map((one) => [one.buildId, one.builder.id]));
}

function lane(of: Partial<Lane> = {}): Lane {
  return { trustDomain: 'trusted', system: linux, requiredFeatures: [], projectId: 1, ...of };
}

function waiting(of: Lane, candidates: readonly Candidate[]) {
  return { lane: of, candidates, truncated: false };
}

function build(id: number, of: Partial<Candidate> = {}): Candidate {
  return { id, priority: 0, remainingMs: 0, excluded: [], ...of };
}

function builder(id: number, of: Partial<BuilderCapacity> = {}): BuilderCapacity {
  return {
    id,
    name: `builder-${id}`,
    systems: [linux],
    features: [],
    mandatoryFeatures: [],
    trustDomains: ['trusted'],
    slots: of.free ?? 1,
    free: 1,
    speed: 1,
    ...of,
  };
}

const features = fc.subarray(['kvm', 'big', 'gpu']);
const requests = fc
  .record({
    lanes: fc.array(
      fc.record({ requiredFeatures: features, projectId: fc.integer({ min: 1, max: 3 }), size: fc.nat(5) }),
      { maxLength: 5 },
    ),
    builders: fc.array(fc.record({ features, mandatoryFeatures: fc.subarray(['gpu']), free: fc.nat(4) }), {
      maxLength: 5,
    }),
  })
  .map(({ lanes, builders }): AssignRequest => {
    let id = 0;
    return {
      lanes: lanes.map(({ size, ...of }) =>
        waiting(
          lane(of),
          Array.from({ length: size }, () => {
            id += 1;
            return build(id);
          }),
        ),
      ),
      builders: builders.map((of, index) => builder(index + 1, of)),
      running: new Map(),
    };
  });
