/**
 * Import from derivation: what an evaluation has built while it goes on. Its own time stands still
 * meanwhile; the builds have limits of their own.
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
import type { Waiting } from '../waiting.ts';
import { derivationOf, watchImports } from './import-watch.ts';
import { StoreRefusal, type Upstream, type UpstreamPool } from './upstream.ts';

export interface ImportsOptions {
  readonly limits: EvaluationLimits;
  readonly derivations: PendingDerivations;
  readonly upstreams: Pick<UpstreamPool, 'lease'>;
  readonly waiting: Waiting;
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
  const { limits, derivations, upstreams, waiting } = options;
  const counted = new Set<string>();
  /** Derivation -> why it did not build. An evaluator that is started again asks again. */
  const failures = new Map<string, string>();

  function admit(drvPaths: readonly string[]): void {
    for (const drvPath of drvPaths) {
      const failure = failures.get(drvPath);
      if (failure !== undefined) throw new Error(failure);
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
      if (failure !== undefined) for (const path of paths) failures.set(derivationOf(path), failure);
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
        admit(paths.map(derivationOf).filter((drvPath) => willBuild.has(drvPath)));
        await run(upstream, paths, onEvent);
      }),
  };
}

const deaf = { line: () => {}, phase: () => {}, ended: () => {} } as const;
