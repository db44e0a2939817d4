import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createWeightedGraph, type WeightedNode } from './weights.ts';

test('a build is as urgent as the longest path and the highest priority above it', () => {
  const graph = createWeightedGraph();
  graph.add([
    { key: 'lib', inputs: [], cost: 5, priority: 0 },
    { key: 'app', inputs: ['lib', 'there already'], cost: 2, priority: 0 },
  ]);
  expect(graph.weightOf('lib')).toMatchObject({ remaining: 7, priority: 0 });
  const changed = graph.add([{ key: 'image', inputs: ['app'], cost: 100, priority: 3 }]);
  expect(changed).toEqual(new Set(['image', 'app', 'lib']));
  expect(graph.weightOf('lib')).toMatchObject({ remaining: 107, priority: 3 });
});

test('weights do not depend on the parts in which a graph comes', () => {
  const graphs = fc.array(
    fc.record({ inputs: fc.array(fc.nat(40), { maxLength: 4 }), cost: fc.nat(9), priority: fc.integer() }),
    { minLength: 1, maxLength: 40 },
  );
  fc.assert(
    fc.property(graphs, fc.nat(40), (nodes, cut) => {
      const all = nodes.map(({ inputs, cost, priority }, index): WeightedNode => {
        const below = index === 0 ? [] : inputs.map((input) => `${input % index}`);
        return { key: `${index}`, inputs: below, cost, priority };
      });
      const whole = createWeightedGraph();
      whole.add([...all].reverse());
      const parted = createWeightedGraph();
      parted.add(all.slice(0, cut));
      parted.add(all.slice(cut));
      for (const { key } of all) {
        const { remaining, priority } = whole.weightOf(key) ?? {};
        expect(parted.weightOf(key)).toMatchObject({ remaining, priority });
        const above = all.filter((node) => node.inputs.includes(key));
        const own = all.find((node) => node.key === key);
        const longest = Math.max(0, ...above.map((node) => whole.weightOf(node.key)?.remaining ?? 0));
        expect(remaining).toBe((own?.cost ?? 0) + longest);
      }
    }),
  );
});

test('a chain longer than the stack is no trouble', () => {
  const graph = createWeightedGraph();
  graph.add(
    Array.from({ length: 50_000 }, (_, index) => ({
      key: `${index}`,
      inputs: index === 0 ? [] : [`${index - 1}`],
      cost: 1,
      priority: 0,
    })),
  );
  expect(graph.weightOf('0')?.remaining).toBe(50_000);
});
