/**
 * The order of one in-memory run: which derivation is next, and what the end of one means for the
 * others. More may be added while it runs. Pure bookkeeping, no clock and no processes; `local-run.ts` drives it.
 *
 *     blocked ──last input succeeded──> queued ──takeNext──> building ──finish──> a finished state
 *        └──an input ended badly──> dependency-failed           └──retry──> queued
 *     any unfinished ──cancel──> cancelled
 */
import { type BuildState, type FinishedState, isFinished } from './states.ts';
import { createWeightedGraph } from './weights.ts';

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

export interface LocalPlan {
  /** Adds to the plan; returns those that fall at once, because what they need has failed already. */
  add(nodes: readonly PlanNode[]): readonly Fallen[];
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
  /** Of one that fell. */
  culprit: string | undefined;
  missingInputs: number;
  readonly dependents: string[];
}

/** Lays out the plan. Throws, here and in `add`, for a graph with a cycle, which no Nix store can hold. */
export function createBuildPlan(nodes: readonly PlanNode[]): LocalPlan {
  const entries = new Map<string, Entry>();
  /** Its `remaining` is the number of derivations on the longest path of unfinished work from here. */
  const weights = createWeightedGraph();
  /**
   * Queued derivations by that number: it is small, so the highest is found by counting down. One whose
   * number has risen is in several queues, and counts in the highest.
   */
  const queues: string[][] = [];
  const totals = { blocked: 0, queued: 0, building: 0, finished: 0 };
  const heightOf = (drvPath: string) => weights.weightOf(drvPath)?.remaining ?? 0;

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
  const putInQueue = (drvPath: string) => {
    const height = heightOf(drvPath);
    const queue = queues[height] ?? [];
    queue.push(drvPath);
    queues[height] = queue;
  };
  const enqueue = (drvPath: string, entry: Entry) => {
    move(entry, 'queued');
    putInQueue(drvPath);
  };
  const takeBuilding = (drvPath: string): Entry => {
    const entry = entryOf(drvPath);
    if (entry.state !== 'building') throw new Error(`${drvPath} is ${entry.state}, not building`);
    return entry;
  };
  /** Lets these fall, and what waits for them. */
  const fall = (culprit: string, first: readonly string[]): Fallen[] => {
    const fallen: Fallen[] = [];
    const open = [...first];
    for (let at = 0; at < open.length; at += 1) {
      const drvPath = open[at]!;
      const entry = entryOf(drvPath);
      if (entry.state !== 'blocked') continue;
      move(entry, 'dependency-failed');
      entry.culprit = culprit;
      fallen.push({ drvPath, state: 'dependency-failed', culprit });
      open.push(...entry.dependents);
    }
    return fallen;
  };

  const connect = ({ drvPath, inputs }: PlanNode): Fallen[] => {
    const entry = entryOf(drvPath);
    for (const input of new Set(inputs)) {
      const needed = entries.get(input);
      if (!needed || needed.state === 'succeeded') continue;
      if (isFinished(needed.state)) return fall(needed.culprit ?? input, [drvPath]);
      needed.dependents.push(drvPath);
      entry.missingInputs += 1;
    }
    return [];
  };
  const add = (added: readonly PlanNode[]): Fallen[] => {
    for (const { drvPath } of added) {
      if (entries.has(drvPath)) throw new Error(`${drvPath} is twice in the plan`);
      entries.set(drvPath, { state: 'blocked', culprit: undefined, missingInputs: 0, dependents: [] });
    }
    totals.blocked += added.length;
    const risen = weights.add(
      added.map(({ drvPath, inputs }) => ({ key: drvPath, inputs, cost: 1, priority: 0 })),
    );
    const fallen = added.flatMap(connect);
    for (const drvPath of risen) if (entryOf(drvPath).state === 'queued') putInQueue(drvPath);
    for (const { drvPath } of added) {
      const entry = entryOf(drvPath);
      if (entry.state === 'blocked' && entry.missingInputs === 0) enqueue(drvPath, entry);
    }
    return fallen;
  };
  add(nodes);

  return {
    add,
    takeNext() {
      while (queues.length > 0) {
        const drvPath = queues.at(-1)?.shift();
        if (drvPath === undefined) {
          queues.pop();
          continue;
        }
        if (entryOf(drvPath).state !== 'queued') continue;
        move(entryOf(drvPath), 'building');
        return drvPath;
      }
      return undefined;
    },
    finish(drvPath, state) {
      const entry = takeBuilding(drvPath);
      move(entry, state);
      if (state !== 'succeeded') return fall(drvPath, entry.dependents);
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
