/**
 * Builds everything a set of jobs needs, in memory: no database, one builder, one process.
 * `ringmaster run` lives on this; the server's queue follows the same rules in PostgreSQL.
 *
 * Always builds all that can be built: a failure stops only what depends on it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { AttemptResult, Builder } from '../builders/index.ts';
import { resolvedDerivation } from '../nix/index.ts';
import { createBuildPlan, type LocalPlan } from './local-run-plan.ts';
import type { BuildPlan, BuildWish, MissingPlanner } from './missing.ts';
import { type FinishedState, verdictOf } from './states.ts';
import { tellLater } from './tell-later.ts';
import type { BuildLimits, DerivationTexts, WantedBuild } from './wanted.ts';

export type LocalRunEvent =
  /** Comes with each part of the wishes: which of them are there already, and all there is to do so far. */
  | {
      readonly type: 'planned';
      readonly cached: readonly string[];
      readonly toBuild: number;
      /** There is no more to come. */
      readonly complete: boolean;
    }
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
  /** It ended before, and is told again because of another wish for it. */
  readonly again?: boolean;
}

export interface LocalRunOptions {
  readonly planner: MissingPlanner;
  /**
   * Where derivations are that are perhaps not in the store yet. All that are built are written, those
   * that the planner gave a text while they are being built.
   */
  readonly derivations?: Pick<DerivationTexts, 'write'>;
  readonly builder: Builder;
  /** What is wanted, as it becomes known; building starts with the first part. */
  readonly wishes: AsyncIterable<readonly BuildWish[]> | Iterable<readonly BuildWish[]>;
  /** Seconds; 0 means no limit. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  /** Cancels: running builds are ended, the rest never starts, every build still gets its end. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: LocalRunEvent) => void;
  /** Before the first try again after trouble of the machine; doubles each time. Default 200 ms. */
  readonly retryDelayMs?: number;
}

/** Runs all of it. Rejects only when the wishes do, the store cannot be asked or the graph not be read. */
export async function runLocally(given: LocalRunOptions): Promise<void> {
  const telling = tellLater(given.onEvent);
  const options = { ...given, onEvent: telling.tell };
  const run = createRun(options);
  const { signal } = options;
  // At once, so that nothing counts as failed because a build it needs was cancelled.
  signal.addEventListener('abort', run.cancelWaiting, { once: true });
  try {
    await Promise.race([Promise.all([takeWishes(options, run), run.drive()]), telling.failed]);
  } finally {
    signal.removeEventListener('abort', run.cancelWaiting);
    telling.flush();
  }
}

/** Plans the wishes as they come. Those that come after the run was cancelled are not looked at. */
async function takeWishes(options: LocalRunOptions, run: Run): Promise<void> {
  const { planner, signal, derivations } = options;
  const writing: Promise<void>[] = [];
  try {
    for await (const wishes of options.wishes) {
      if (signal.aborted) continue;
      const plan = await planner.plan(wishes);
      const built = plan.wanted.filter((build) => !build.inputsOnly);
      await derivations?.write(pathsOf(built.filter(({ derivation }) => !derivation)));
      if (signal.aborted) continue;
      run.add(wishes, plan);
      const written = derivations?.write(pathsOf(built));
      // Whoever waits for it below is told.
      written?.catch(() => {});
      if (written) writing.push(written);
    }
    run.close();
    await Promise.all(writing);
  } catch (error) {
    run.cancelWaiting();
    throw error;
  } finally {
    run.close();
    await Promise.allSettled(writing);
  }
}

function pathsOf(builds: readonly WantedBuild[]): readonly string[] {
  return builds.map(({ drvPath }) => drvPath);
}

type End = Omit<LocalBuildFinished, 'type' | 'drvPath'>;

const neverStarted = { outputs: {}, message: '', seconds: 0 } as const;

interface Run {
  add(wishes: readonly BuildWish[], plan: BuildPlan): void;
  /** No more will be added. */
  close(): void;
  cancelWaiting(): void;
  /** Keeps the builder's slots full until everything has ended. */
  drive(): Promise<void>;
}

/** Nodes that stand for no build, only for the inputs of a derivation. */
const inputsOf = (drvPath: string) => `${drvPath}!inputs`;

function createRun(options: LocalRunOptions): Run {
  const { onEvent } = options;
  const slots = Math.max(1, options.builder.slots);
  const plan: LocalPlan = createBuildPlan([]);
  const running = new Map<string, Promise<void>>();
  const limits = new Map<string, BuildLimits>();
  /** Texts of derivations that have not ended. */
  const texts = new Map<string, Buffer>();
  /** Nodes that are not built, by what they are in the plan. */
  const inert = new Map<string, string>();
  const ends = new Map<string, End>();
  let toBuild = 0;
  let open = true;
  let wake = () => {};

  const tell = (node: string, end: End) => {
    ends.set(node, end);
    texts.delete(node);
    onEvent({ type: 'finished', drvPath: inert.get(node) ?? node, ...end });
  };
  const finish = (node: string, end: End) => {
    const fallen = plan.finish(node, end.state);
    tell(node, end);
    for (const { drvPath, state, culprit } of fallen) tell(drvPath, { ...neverStarted, state, culprit });
  };
  const run = async (drvPath: string) => {
    const wanted = { drvPath, limits: limits.get(drvPath) ?? {}, text: texts.get(drvPath) };
    finish(drvPath, await attemptUntilEnd(options, wanted));
    running.delete(drvPath);
  };

  return {
    add(wishes, { wanted, missing, impossible, limits: asked }) {
      for (const [drvPath, limit] of asked) limits.set(drvPath, limit);
      const nodes = wanted.map(({ drvPath, inputs, inputsOnly, derivation }) => {
        if (derivation) texts.set(drvPath, derivation);
        if (inputsOnly) inert.set(inputsOf(drvPath), drvPath);
        return { drvPath: inputsOnly ? inputsOf(drvPath) : drvPath, inputs };
      });
      toBuild += wanted.filter((build) => !build.inputsOnly).length;
      const before = new Map(ends);
      const fallen = plan.add(nodes);
      const cached = new Set<string>();
      const again = new Map<string, End>();
      for (const { drvPath, itself } of wishes) {
        const node = itself ? drvPath : inputsOf(drvPath);
        const end = before.get(node);
        if (end) again.set(drvPath, end);
        const reason = impossible.get(drvPath);
        if (reason !== undefined) again.set(drvPath, { ...neverStarted, state: 'failed', message: reason });
        else if (!missing.has(drvPath)) cached.add(drvPath);
        // All its inputs are there, and it itself is not wanted.
        else if (plan.stateOf(node) === undefined)
          again.set(drvPath, { ...neverStarted, state: 'succeeded' });
      }
      onEvent({ type: 'planned', cached: [...cached], toBuild, complete: false });
      for (const [drvPath, end] of again) onEvent({ type: 'finished', drvPath, ...end, again: true });
      for (const { drvPath, state, culprit } of fallen) tell(drvPath, { ...neverStarted, state, culprit });
      wake();
    },
    close() {
      if (!open) return;
      open = false;
      onEvent({ type: 'planned', cached: [], toBuild, complete: true });
      wake();
    },
    cancelWaiting() {
      for (const node of plan.cancelWaiting()) tell(node, { ...neverStarted, state: 'cancelled' });
    },
    async drive() {
      for (;;) {
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        while (running.size < slots) {
          const node = plan.takeNext();
          if (node === undefined) break;
          if (inert.has(node)) finish(node, { ...neverStarted, state: 'succeeded' });
          else running.set(node, run(node));
        }
        if (running.size === 0 && !open) break;
        await Promise.race(open ? [woken, ...running.values()] : running.values());
      }
      const { finished, total } = plan.counts();
      if (finished < total) throw new Error(`${total - finished} builds are left that cannot start`);
    },
  };
}

interface ToBuild {
  readonly drvPath: string;
  readonly limits: BuildLimits;
  /** All that the builder needs to know; without it, the derivation is in the store. */
  readonly text: Buffer | undefined;
}

/** Tries one build until there is a verdict on it. */
async function attemptUntilEnd(options: LocalRunOptions, wanted: ToBuild): Promise<End> {
  const { builder, signal, onEvent } = options;
  const { drvPath, limits, text } = wanted;
  const derivation = text && resolvedDerivation(text);
  const timeoutSeconds = limits.timeoutSeconds ?? options.timeoutSeconds;
  const maxSilentSeconds = limits.maxSilentSeconds ?? options.maxSilentSeconds;
  for (let failures = 0; ; failures += 1) {
    onEvent({ type: 'started', drvPath });
    const result = await builder.attempt({
      attemptId: 0,
      drvPath,
      outputs: {},
      ...(derivation && { derivation }),
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
