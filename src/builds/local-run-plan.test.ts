import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBuildPlan, type PlanNode } from './local-run-plan.ts';
import { type FinishedState, finishedStates } from './states.ts';

const node = (drvPath: string, ...inputs: string[]): PlanNode => ({ drvPath, inputs });

describe('the plan of a local run', () => {
  it('starts with the derivation that has the longest path of work behind it', () => {
    const plan = createBuildPlan([node('leaf'), node('base'), node('middle', 'base'), node('top', 'middle')]);
    expect(plan.takeNext()).toBe('base');
    expect(plan.takeNext()).toBe('leaf');
    expect(plan.takeNext()).toBeUndefined();
  });

  it('queues a derivation when the last of its inputs has succeeded', () => {
    const plan = createBuildPlan([node('a'), node('b'), node('both', 'a', 'b', 'a', 'already-there')]);
    expect([plan.takeNext(), plan.takeNext()]).toEqual(['a', 'b']);
    plan.finish('a', 'succeeded');
    expect(plan.takeNext()).toBeUndefined();
    plan.finish('b', 'succeeded');
    expect(plan.takeNext()).toBe('both');
  });

  it('names the first failure as the culprit for everything above it', () => {
    const plan = createBuildPlan([node('a'), node('b', 'a'), node('c', 'b'), node('other')]);
    plan.takeNext();
    expect(plan.finish('a', 'output-mismatch')).toEqual([
      { drvPath: 'b', state: 'dependency-failed', culprit: 'a' },
      { drvPath: 'c', state: 'dependency-failed', culprit: 'a' },
    ]);
    expect(plan.takeNext()).toBe('other');
  });

  it('reports a derivation that needs two failing ones only once', () => {
    const plan = createBuildPlan([node('a'), node('b'), node('both', 'a', 'b')]);
    plan.takeNext();
    plan.takeNext();
    expect(plan.finish('a', 'failed')).toHaveLength(1);
    expect(plan.finish('b', 'failed')).toEqual([]);
    expect(plan.counts()).toEqual({ total: 3, blocked: 0, queued: 0, building: 0, finished: 3 });
  });

  it('gives a derivation out again after a retry', () => {
    const plan = createBuildPlan([node('a')]);
    plan.takeNext();
    plan.retry('a');
    expect(plan.takeNext()).toBe('a');
  });

  it('cancels what waits and lets what runs come to its end', () => {
    const plan = createBuildPlan([node('a'), node('b', 'a'), node('c')]);
    expect(plan.takeNext()).toBe('a');
    expect(plan.cancelWaiting()).toEqual(['b', 'c']);
    expect(plan.takeNext()).toBeUndefined();
    expect(plan.finish('a', 'succeeded')).toEqual([]);
    expect(plan.takeNext()).toBeUndefined();
    expect(plan.counts().finished).toBe(3);
  });

  it('refuses a graph with a cycle instead of waiting for ever', () => {
    expect(() => createBuildPlan([node('a', 'b'), node('b', 'a')])).toThrow('cycle');
  });

  it('never starts before inputs, builds each once and ends everything, whatever happens', () => {
    fc.assert(
      fc.property(graphs, scripts, fc.integer({ min: 1, max: 4 }), (nodes, script, slots) => {
        const plan = createBuildPlan(nodes);
        const started = new Map<string, number>();
        const ends = new Map<string, FinishedState>();
        const running: string[] = [];
        const inputsOf = new Map(nodes.map((each) => [each.drvPath, each.inputs]));
        for (let step = 0; ends.size < nodes.length; step += 1) {
          for (
            let next = running.length < slots && plan.takeNext();
            next;
            next = running.length < slots && plan.takeNext()
          ) {
            for (const input of inputsOf.get(next)!) expect(ends.get(input)).toBe('succeeded');
            started.set(next, (started.get(next) ?? 0) + 1);
            running.push(next);
          }
          const [ended] = running.splice(script.picks[step % script.picks.length]! % running.length, 1);
          expect(ended).toBeDefined();
          const state = script.ends[step % script.ends.length]!;
          for (const fallen of plan.finish(ended!, state)) {
            expect(ends.has(fallen.drvPath)).toBe(false);
            expect(ends.get(fallen.culprit) ?? state).not.toBe('succeeded');
            ends.set(fallen.drvPath, fallen.state);
          }
          ends.set(ended!, state);
          if (state === 'cancelled')
            for (const drvPath of plan.cancelWaiting()) ends.set(drvPath, 'cancelled');
        }
        expect([...started.values()].every((times) => times === 1)).toBe(true);
        expect(plan.counts()).toMatchObject({ blocked: 0, queued: 0, building: 0, finished: nodes.length });
        for (const [drvPath, state] of ends) expect(plan.stateOf(drvPath)).toBe(state);
      }),
    );
  });
});

/** Graphs without cycles: every node may need only nodes with a smaller number. */
const graphs = fc
  .array(fc.array(fc.nat({ max: 30 }), { maxLength: 4 }), { minLength: 1, maxLength: 30 })
  .map((wishes) =>
    wishes.map((inputs, index) =>
      node(`${index}`, ...(index === 0 ? [] : inputs.map((input) => `${input % index}`))),
    ),
  );

const scripts = fc.record({
  picks: fc.array(fc.nat({ max: 7 }), { minLength: 1, maxLength: 20 }),
  ends: fc.array(
    fc.oneof({ weight: 6, arbitrary: fc.constant('succeeded' as const) }, fc.constantFrom(...finishedStates)),
    { minLength: 1, maxLength: 20 },
  ),
});
