/**
 * The order of one in-memory run: which derivation is next, and what the end of one means for the
 * others. Pure bookkeeping, no clock and no processes; `local-run.ts` drives it.
 *
 *     blocked ──last input succeeded──> queued ──takeNext──> building ──finish──> a finished state
 *        └──an input ended badly──> dependency-failed           └──retry──> queued
 *     any unfinished ──cancel──> cancelled
 */
import { type BuildState, type FinishedState, isFinished } from './states.ts';

/** One derivation that has to be built, and what it needs of the others that have to be. */
export interface PlanNode {
  readonly drvPath: string;
  /** Derivations that must succeed first. Those that are no node themselves are taken to be there. */
  readonly inputs: readonly string[];
}

/** A node that ended without having been built, because another one ended. */
export interface Fallen {
  readonly drvPath: string;
  readonly state: 'dependency-failed';
  /** The derivation that failed first, not one that itself only fell. */
  readonly culprit: string;
}

export interface PlanCounts {
  readonly total: number;
  readonly blocked: number;
  readonly queued: number;
  readonly building: number;
  readonly finished: number;
}

export interface BuildPlan {
  /** Takes the queued derivation with the longest path of unfinished work behind it. */
  takeNext(): string | undefined;
  /** Ends a derivation that is building. Returns the ones that fall with it, nearest first. */
  finish(drvPath: string, state: FinishedState): readonly Fallen[];
  /** Puts a derivation that is building back into the queue. */
  retry(drvPath: string): void;
  /** Cancels everything that does not run yet. What is building must still be finished. */
  cancelWaiting(): readonly string[];
  stateOf(drvPath: string): BuildState | undefined;
  counts(): PlanCounts;
}

interface Entry {
  state: BuildState;
  missingInputs: number;
  readonly dependents: string[];
  /** Derivations on the longest path from here to an end of the graph, itself included. */
  height: number;
}

/** Lays out the plan. Throws for a graph with a cycle, which no Nix store can hold. */
export function createBuildPlan(nodes: readonly PlanNode[]): BuildPlan {
  const entries = layOut(nodes);
  /** Queued derivations by height: heights are small, so the highest is found by counting down. */
  const queues: string[][] = [];
  const totals = { blocked: entries.size, queued: 0, building: 0, finished: 0 };

  const entryOf = (drvPath: string): Entry => {
    const entry = entries.get(drvPath);
    if (!entry) throw new Error(`${drvPath} is not part of this plan`);
    return entry;
  };
  const move = (entry: Entry, state: BuildState) => {
    totals[countedAs(entry.state)] -= 1;
    totals[countedAs(state)] += 1;
    entry.state = state;
  };
  const enqueue = (drvPath: string, entry: Entry) => {
    move(entry, 'queued');
    const queue = queues[entry.height] ?? [];
    queue.push(drvPath);
    queues[entry.height] = queue;
  };
  const takeBuilding = (drvPath: string): Entry => {
    const entry = entryOf(drvPath);
    if (entry.state !== 'building') throw new Error(`${drvPath} is ${entry.state}, not building`);
    return entry;
  };
  const fell = (culprit: string): Fallen[] => {
    const fallen: Fallen[] = [];
    const open = [...entryOf(culprit).dependents];
    for (let at = 0; at < open.length; at += 1) {
      const drvPath = open[at]!;
      const entry = entryOf(drvPath);
      if (entry.state !== 'blocked') continue;
      move(entry, 'dependency-failed');
      fallen.push({ drvPath, state: 'dependency-failed', culprit });
      open.push(...entry.dependents);
    }
    return fallen;
  };

  for (const [drvPath, entry] of entries) if (entry.missingInputs === 0) enqueue(drvPath, entry);

  return {
    takeNext() {
      while (queues.length > 0) {
        const drvPath = queues.at(-1)?.shift();
        if (drvPath === undefined) {
          queues.pop();
          continue;
        }
        move(entryOf(drvPath), 'building');
        return drvPath;
      }
      return undefined;
    },
    finish(drvPath, state) {
      const entry = takeBuilding(drvPath);
      move(entry, state);
      if (state !== 'succeeded') return fell(drvPath);
      for (const dependent of entry.dependents) {
        const waiting = entryOf(dependent);
        waiting.missingInputs -= 1;
        if (waiting.missingInputs === 0 && waiting.state === 'blocked') enqueue(dependent, waiting);
      }
      return [];
    },
    retry(drvPath) {
      enqueue(drvPath, takeBuilding(drvPath));
    },
    cancelWaiting() {
      queues.length = 0;
      const cancelled: string[] = [];
      for (const [drvPath, entry] of entries) {
        if (entry.state !== 'blocked' && entry.state !== 'queued') continue;
        move(entry, 'cancelled');
        cancelled.push(drvPath);
      }
      return cancelled;
    },
    stateOf: (drvPath) => entries.get(drvPath)?.state,
    counts: () => ({ total: entries.size, ...totals }),
  };
}

function countedAs(state: BuildState): 'blocked' | 'queued' | 'building' | 'finished' {
  return isFinished(state) ? 'finished' : state;
}

/** Edges both ways and heights, by removing derivations nobody needs any more, layer by layer. */
function layOut(nodes: readonly PlanNode[]): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  const inputsOf = new Map<string, readonly string[]>();
  for (const { drvPath } of nodes) {
    if (entries.has(drvPath)) throw new Error(`${drvPath} is twice in the plan`);
    entries.set(drvPath, { state: 'blocked', missingInputs: 0, dependents: [], height: 1 });
  }
  const unplaced = new Map<string, number>();
  for (const { drvPath, inputs } of nodes) {
    const inside = [...new Set(inputs)].filter((input) => entries.has(input));
    inputsOf.set(drvPath, inside);
    entries.get(drvPath)!.missingInputs = inside.length;
    for (const input of inside) {
      entries.get(input)!.dependents.push(drvPath);
      unplaced.set(input, (unplaced.get(input) ?? 0) + 1);
    }
  }
  const open = nodes.map((node) => node.drvPath).filter((drvPath) => !unplaced.has(drvPath));
  for (let at = 0; at < open.length; at += 1) {
    const { height } = entries.get(open[at]!)!;
    for (const input of inputsOf.get(open[at]!)!) {
      const entry = entries.get(input)!;
      entry.height = Math.max(entry.height, height + 1);
      const left = unplaced.get(input)! - 1;
      unplaced.set(input, left);
      if (left === 0) open.push(input);
    }
  }
  if (open.length < entries.size) throw new Error('the derivation graph has a cycle');
  return entries;
}
