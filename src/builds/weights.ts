/**
 * How urgent builds are because of what waits for them: the longest path of work from the start of a
 * build to the end of all that needs it, and the highest priority of these. A graph that grows: what
 * is added later may make earlier builds more urgent, never less.
 */

export interface WeightedNode {
  readonly key: string;
  /** Keys of what it needs; those that were never added are taken to be there. */
  readonly inputs: readonly string[];
  /** What it itself takes, in any unit. */
  readonly cost: number;
  readonly priority: number;
}

export interface Weight {
  /** Cost of the longest path from here through what needs it, its own included. */
  readonly remaining: number;
  readonly priority: number;
}

export interface WeightedGraph {
  /** Adds nodes, or raises the priority of one that is there; returns the keys whose weight is new. */
  add(nodes: readonly WeightedNode[]): ReadonlySet<string>;
  weightOf(key: string): Weight | undefined;
}

interface Entry {
  readonly cost: number;
  readonly inputs: readonly string[];
  remaining: number;
  priority: number;
}

/** `add` throws for a cycle, which no Nix store can hold. */
export function createWeightedGraph(): WeightedGraph {
  const entries = new Map<string, Entry>();

  /** All that is reachable from these through inputs, each before its inputs. */
  function downwards(from: readonly string[]): string[] {
    const state = new Map<string, 'open' | 'done'>();
    const order: string[] = [];
    // Not recursive: chains of derivations can be longer than the stack.
    const stack = [...from];
    for (let key = stack.at(-1); key !== undefined; key = stack.at(-1)) {
      const inputs = state.has(key) ? [] : (entries.get(key)?.inputs ?? []);
      if (state.has(key)) {
        stack.pop();
        if (state.get(key) === 'open') order.push(key);
        state.set(key, 'done');
        continue;
      }
      state.set(key, 'open');
      for (const input of inputs) {
        if (!entries.has(input) || state.get(input) === 'done') continue;
        if (state.get(input) === 'open') throw new Error('the derivation graph has a cycle');
        stack.push(input);
      }
    }
    return order.reverse();
  }

  return {
    add(nodes) {
      const changed = new Set<string>();
      for (const { key, inputs, cost, priority } of nodes) {
        const entry = entries.get(key);
        if (!entry) entries.set(key, { cost, inputs: [...new Set(inputs)], remaining: cost, priority });
        else if (entry.priority < priority) entry.priority = priority;
        else continue;
        changed.add(key);
      }
      for (const key of downwards([...changed])) {
        const entry = entries.get(key);
        if (!entry || !changed.has(key)) continue;
        for (const input of entry.inputs) {
          const below = entries.get(input);
          if (!below) continue;
          const remaining = below.cost + entry.remaining;
          if (remaining <= below.remaining && entry.priority <= below.priority) continue;
          below.remaining = Math.max(below.remaining, remaining);
          below.priority = Math.max(below.priority, entry.priority);
          changed.add(input);
        }
      }
      return changed;
    },
    weightOf: (key) => entries.get(key),
  };
}
