/**
 * Builds everything a set of jobs needs, in memory: no database, one builder, one process.
 * `ringmaster run` lives on this; the server's queue follows the same rules in PostgreSQL.
 *
 * Always builds all that can be built: a failure stops only what depends on it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { AttemptResult, Builder } from '../builders/index.ts';
import { derivationGraph, type NixStore, type StoreLayout } from '../nix/index.ts';
import { type BuildPlan, createBuildPlan, type PlanNode } from './local-run-plan.ts';
import { type FinishedState, verdictOf } from './states.ts';

export type LocalRunEvent =
  /** Always the first: what is there already, and how much is to be done. */
  | { readonly type: 'planned'; readonly cached: readonly string[]; readonly toBuild: number }
  | { readonly type: 'started'; readonly drvPath: string }
  | { readonly type: 'phase'; readonly drvPath: string; readonly phase: string }
  | { readonly type: 'log'; readonly drvPath: string; readonly line: Buffer }
  /** The machine failed, not the build; it will be tried again. */
  | { readonly type: 'retrying'; readonly drvPath: string; readonly message: string }
  | LocalBuildFinished;

export interface LocalBuildFinished {
  readonly type: 'finished';
  readonly drvPath: string;
  readonly state: FinishedState;
  readonly outputs: Readonly<Record<string, string>>;
  /** Nix's words; empty for good ends. */
  readonly message: string;
  /** For `dependency-failed`: the derivation that failed first. */
  readonly culprit?: string;
  /** Of the last attempt; 0 for builds that never started. */
  readonly seconds: number;
}

export interface LocalRunWish {
  readonly drvPath: string;
  /** False: everything it needs is built, it itself is not. */
  readonly itself: boolean;
}

export interface LocalRunOptions {
  readonly store: Pick<NixStore, 'queryMissing'>;
  readonly builder: Builder;
  /** Where the store's `.drv` files are. */
  readonly layout: StoreLayout;
  readonly wishes: readonly LocalRunWish[];
  /** Seconds; 0 means no limit. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  /** Cancels: running builds are ended, the rest never starts, every build still gets its end. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: LocalRunEvent) => void;
  /** Before the first try again after trouble of the machine; doubles each time. Default 200 ms. */
  readonly retryDelayMs?: number;
}

/** Runs all of it. Rejects only when the store cannot be asked or the graph not be read. */
export async function runLocally(options: LocalRunOptions): Promise<void> {
  const targets = [...new Set(options.wishes.map((wish) => wish.drvPath))];
  const missing = await options.store.queryMissing(targets);
  // A derivation nobody knows how to make is tried all the same, so that Nix says what is wrong.
  const toMake = new Set([...missing.willBuild, ...missing.unknown]);
  const cached = targets.filter((drvPath) => !toMake.has(drvPath));
  const { dependencies } = await derivationGraph(options.layout, missing.willBuild, targets);
  const nodes: PlanNode[] = [...dependencies].map(([drvPath, inputs]) => ({ drvPath, inputs }));
  for (const drvPath of targets) {
    if (missing.unknown.has(drvPath) && !dependencies.has(drvPath)) nodes.push({ drvPath, inputs: [] });
  }
  const plan = createBuildPlan(nodes);
  const inert = onlyForTheirInputs(options.wishes, nodes);
  options.onEvent({ type: 'planned', cached, toBuild: nodes.length - inert.size });
  await drive(options, plan, inert);
}

/** Nobody needs these themselves: no wish and no other derivation. */
function onlyForTheirInputs(
  wishes: readonly LocalRunWish[],
  nodes: readonly PlanNode[],
): ReadonlySet<string> {
  const needed = new Set(nodes.flatMap((node) => node.inputs));
  for (const wish of wishes) if (wish.itself) needed.add(wish.drvPath);
  return new Set(nodes.map((node) => node.drvPath).filter((drvPath) => !needed.has(drvPath)));
}

type End = Omit<LocalBuildFinished, 'type' | 'drvPath'>;

const neverStarted = { outputs: {}, message: '', seconds: 0 } as const;

/** Keeps the builder's slots full until everything has ended. */
async function drive(options: LocalRunOptions, plan: BuildPlan, inert: ReadonlySet<string>): Promise<void> {
  const { signal, onEvent } = options;
  const slots = Math.max(1, options.builder.slots);
  const running = new Map<string, Promise<void>>();

  const finish = (drvPath: string, end: End) => {
    const fallen = plan.finish(drvPath, end.state);
    onEvent({ type: 'finished', drvPath, ...end });
    for (const { drvPath: above, state, culprit } of fallen) {
      onEvent({ type: 'finished', drvPath: above, ...neverStarted, state, culprit });
    }
  };
  const run = async (drvPath: string) => {
    finish(drvPath, await attemptUntilEnd(options, drvPath));
    running.delete(drvPath);
  };
  const cancelWaiting = () => {
    for (const drvPath of plan.cancelWaiting()) {
      onEvent({ type: 'finished', drvPath, ...neverStarted, state: 'cancelled' });
    }
  };

  // At once, so that nothing counts as failed because a build it needs was cancelled.
  signal.addEventListener('abort', cancelWaiting, { once: true });
  if (signal.aborted) cancelWaiting();
  try {
    for (;;) {
      while (running.size < slots) {
        const drvPath = plan.takeNext();
        if (drvPath === undefined) break;
        if (inert.has(drvPath)) finish(drvPath, { ...neverStarted, state: 'succeeded' });
        else running.set(drvPath, run(drvPath));
      }
      if (running.size === 0) break;
      await Promise.race(running.values());
    }
  } finally {
    signal.removeEventListener('abort', cancelWaiting);
  }
  const { finished, total } = plan.counts();
  if (finished < total) throw new Error(`${total - finished} builds are left that cannot start`);
}

/** Tries one build until there is a verdict on it. */
async function attemptUntilEnd(options: LocalRunOptions, drvPath: string): Promise<End> {
  const { builder, signal, onEvent, timeoutSeconds, maxSilentSeconds } = options;
  for (let failures = 0; ; failures += 1) {
    onEvent({ type: 'started', drvPath });
    const result = await builder.attempt({
      attemptId: 0,
      drvPath,
      outputs: {},
      signal,
      timeoutSeconds,
      maxSilentSeconds,
      onLogLine: (line) => onEvent({ type: 'log', drvPath, line }),
      onPhase: (phase) => onEvent({ type: 'phase', drvPath, phase }),
    });
    const verdict = verdictOf(result.status, failures);
    if (verdict.kind === 'finished') return endOf(result, verdict.state);
    onEvent({ type: 'retrying', drvPath, message: result.message });
    // Rejects when the run is cancelled meanwhile.
    const waited = await delay((options.retryDelayMs ?? 200) * 2 ** failures, true, { signal }).catch(
      () => false,
    );
    if (!waited) return endOf(result, 'cancelled');
  }
}

function endOf(result: AttemptResult, state: FinishedState): End {
  const seconds = (result.finishedAt.getTime() - result.startedAt.getTime()) / 1000;
  return { state, outputs: result.outputs, message: result.message, seconds };
}
