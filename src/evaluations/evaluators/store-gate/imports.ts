/**
 * Import from derivation: what an evaluation has built while it goes on. Its own time stands still
 * meanwhile; the builds have limits of their own.
 *
 * They take no slots of builders: an evaluation that waited for one could wait for builds that wait for
 * it. All evaluations of a process share some turns instead, one for each request, which Nix works off
 * one build at a time. Who has a turn builds, or waits for Nix to let go of an output that somebody
 * else builds right now; so nobody who has one waits for somebody who wants one.
 */
import {
  buildPathsWithResults,
  type DaemonEvent,
  isGood,
  isValidPath,
  type PendingDerivations,
  queryMissing,
  statusOfReply,
} from '../../../nix/index.ts';
import type { EvaluationLimits, ImportEnd, OnImport } from '../../events.ts';
import type { Turns } from '../turns.ts';
import type { Waiting } from '../waiting.ts';
import { derivationOf, watchImports } from './import-watch.ts';
import { StoreRefusal, type Upstream, type UpstreamPool } from './upstream.ts';

export interface ImportsOptions {
  readonly limits: EvaluationLimits;
  readonly derivations: PendingDerivations;
  readonly upstreams: Pick<UpstreamPool, 'lease'>;
  readonly waiting: Waiting;
  /** Shared by all evaluations of a process. */
  readonly turns: Turns;
  readonly onImport?: OnImport | undefined;
}

/** The import builds of one evaluation. */
export interface Imports {
  /** Builds for an evaluator; throws what it is to be told. `paths`: `DRV!OUTPUTS`. */
  build(upstream: Upstream, paths: readonly string[], onEvent: (event: DaemonEvent) => void): Promise<void>;
}

/** Node's timers count 32-bit milliseconds. */
const longestTimer = 2 ** 31 - 1;

export function createImports(options: ImportsOptions): Imports {
  const { limits, derivations, upstreams, waiting, turns } = options;
  const counted = new Set<string>();
  /** Derivation -> why it did not build. An evaluator that is started again asks again. */
  const failures = new Map<string, string>();

  function refuseAgain(drvPath: string): void {
    const failure = failures.get(drvPath);
    if (failure !== undefined) throw new Error(failure);
  }

  function admit(drvPaths: readonly string[]): void {
    for (const drvPath of drvPaths) {
      counted.add(drvPath);
      if (counted.size <= limits.imports) continue;
      counted.delete(drvPath);
      throw new Error(
        `'${drvPath}' is not built: this evaluation has had ${limits.imports} derivations built for itself (import from derivation), which is the limit (evaluation.max_imports)`,
      );
    }
  }

  async function areValid(paths: readonly string[]): Promise<boolean> {
    const upstream = upstreams.lease();
    try {
      for (const path of paths) if (!(await upstream.ask(isValidPath(path)))) return false;
      return true;
    } finally {
      await upstream.release();
    }
  }

  async function run(
    upstream: Upstream,
    paths: readonly string[],
    onEvent: (event: DaemonEvent) => void,
  ): Promise<void> {
    let stopped: Pick<ImportEnd, 'status' | 'message'> | undefined;
    let cancelled: string | undefined;
    const stop = (status: ImportEnd['status'], message: string) => {
      stopped ??= { status, message };
      upstream.interrupt();
    };
    const name = `'${paths.map(derivationOf).join(`', '`)}'`;
    const watch = watchImports({
      onImport: options.onImport ?? (() => deaf),
      readDerivation: (drvPath) => derivations.read(drvPath),
      areValid,
      logBytes: limits.importLogBytes,
      onCancel: (drvPath, why) => {
        cancelled = drvPath;
        stop('cancelled', `building '${drvPath}' was cancelled: ${why}`);
      },
      onTooMuch: () =>
        stop(
          'log-limit',
          `building ${name} printed more than ${limits.importLogBytes} bytes and was stopped`,
        ),
    });
    const timer = setTimeout(
      () =>
        stop(
          'timed-out',
          `building ${name} took longer than ${limits.importSeconds} seconds, which is the limit for what is built while evaluating (evaluation.import_timeout), and was stopped`,
        ),
      Math.min(limits.importSeconds * 1000, longestTimer),
    );
    try {
      const results = await upstream.ask(buildPathsWithResults(paths), (event) => {
        watch.onEvent(event);
        onEvent(event);
      });
      await watch.answered(results);
      const bad = results.find((result) => !isGood(statusOfReply(result)));
      if (bad !== undefined) throw new StoreRefusal(bad.message || `building '${bad.path}' failed`);
    } catch (error) {
      const failure = stopped?.message ?? (error instanceof StoreRefusal ? error.message : undefined);
      // What was to be built beside a cancelled one may be built when it is asked for alone.
      const failed = cancelled === undefined ? paths.map(derivationOf) : [cancelled];
      if (failure !== undefined) for (const drvPath of failed) failures.set(drvPath, failure);
      if (stopped) {
        await watch.broken(stopped);
        throw new Error(stopped.message);
      }
      await watch.broken(
        failure === undefined
          ? { status: 'cancelled', message: 'The evaluation that waited for it ended.' }
          : { status: 'failed', message: failure },
      );
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    build: (upstream, paths, onEvent) =>
      waiting.during(async () => {
        const { willBuild } = await upstream.ask(queryMissing(paths));
        if (willBuild.size === 0) return await run(upstream, paths, onEvent);
        for (const drvPath of willBuild) refuseAgain(drvPath);
        admit(paths.map(derivationOf).filter((drvPath) => willBuild.has(drvPath)));
        await turns.take(upstream.ended, () => run(upstream, paths, onEvent));
      }),
  };
}

const deaf = { line: () => {}, phase: () => {}, ended: () => {} } as const;
