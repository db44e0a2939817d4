/**
 * Finds why derivations were rebuilt: both graphs are walked side by side, breadth first, along the
 * inputs that differ, to the nearest derivation that differs by itself.
 */
import { performance } from 'node:perf_hooks';
import type { Derivation } from '../../nix/index.ts';
import { type Difference, differenceOf, type Pair } from './difference.ts';
import type { ChangeCause } from './types.ts';

export interface CauseLimits {
  /** Derivations read in all. */
  readonly reads: number;
  /** Milliseconds in all. */
  readonly milliseconds: number;
}

export const defaultCauseLimits: CauseLimits = { reads: 2_000, milliseconds: 1_000 };

/** Undefined for a derivation that is not there (any more): most are never written. */
export type ReadForCause = (drvPath: string) => Promise<Derivation | undefined>;

export type FindCause = (pair: Pair) => Promise<ChangeCause | undefined>;

/** For the changes of one evaluation: what is read for one serves the others, within common limits. */
export function createCauseFinder(
  read: ReadForCause,
  limits: CauseLimits = defaultCauseLimits,
  now: () => number = () => performance.now(),
): FindCause {
  const deadline = now() + limits.milliseconds;
  let left = limits.reads;
  const differences = new Map<string, Promise<Difference | undefined>>();
  const causes = new Map<string, ChangeCause | undefined>();

  async function difference(pair: Pair): Promise<Difference | undefined> {
    if (left < 2 || now() > deadline) return undefined;
    left -= 2;
    const [before, after] = await Promise.all([read(pair.before), read(pair.now)]);
    return before && after && differenceOf(pair, before, after);
  }

  /** Each pair is read once: most changes of an evaluation come from the same few inputs. */
  function look(pair: Pair): Promise<Difference | undefined> {
    const key = keyOf(pair);
    const found = differences.get(key) ?? difference(pair);
    differences.set(key, found);
    return found;
  }

  return async (pair) => {
    const seen = new Set([keyOf(pair)]);
    const queue = [pair];
    let found: ChangeCause | undefined;
    for (const next of queue) {
      // What was found for an input holds for all that need it.
      found = causes.get(keyOf(next));
      if (found) break;
      const differing = await look(next);
      found = differing?.own;
      if (found) break;
      for (const input of differing?.inputs ?? []) {
        if (seen.has(keyOf(input))) continue;
        seen.add(keyOf(input));
        queue.push(input);
      }
    }
    causes.set(keyOf(pair), found);
    return found;
  };
}

function keyOf({ before, now }: Pair): string {
  return `${before} ${now}`;
}
