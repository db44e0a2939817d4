/** The part of the configuration that a run without a server needs. */
import { mkdir } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { EvaluationLimits, EvaluatorOptions } from '../../evaluations/index.ts';
import type { DetectOptions } from '../../nix/index.ts';
import { readConfiguration } from '../configuration.ts';
import type { CommandContext } from '../context.ts';

export interface RunSettings {
  readonly nix: DetectOptions;
  readonly evaluator: Pick<EvaluatorOptions, 'prefer' | 'jail' | 'allowedUris' | 'systems'>;
  /** More that evaluators may read. */
  readonly readablePaths: readonly string[];
  readonly limits: EvaluationLimits;
  /** Builds at the same time. */
  readonly slots: number;
  /** Seconds. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  readonly maxLogBytes: number;
}

/** Reads the configuration as the server would. */
export async function loadRunSettings(context: CommandContext): Promise<RunSettings> {
  const { config } = await readConfiguration(context);
  const { evaluation, builds } = config;
  return {
    nix: { home: await nixHome(context.env), sandbox: builds.sandbox },
    evaluator: {
      allowedUris: evaluation.allowedUris,
      jail: evaluation.jail,
      systems: evaluation.systems,
      ...(evaluation.evaluator === 'auto' ? {} : { prefer: evaluation.evaluator }),
    },
    readablePaths: evaluation.readablePaths,
    limits: {
      totalSeconds: evaluation.timeout,
      attributeSeconds: evaluation.attributeTimeout,
      memoryMegabytes: evaluation.memory,
      attributes: evaluation.maxAttributes,
      messageBytes: evaluation.maxMessageBytes,
      importSeconds: evaluation.importTimeout,
      imports: evaluation.maxImports,
      importLogBytes: builds.logLimit,
    },
    slots: Math.max(1, builds.slots),
    timeoutSeconds: builds.timeout,
    maxSilentSeconds: builds.maxSilent,
    maxLogBytes: builds.logLimit,
  };
}

/** A folder for Nix's caches that is kept between runs: not the data directory, which a server may hold. */
export async function nixHome(env: CommandContext['env']): Promise<string> {
  const cache = env.XDG_CACHE_HOME || (env.HOME ? join(env.HOME, '.cache') : undefined);
  const home =
    cache === undefined ? join(tmpdir(), `ringmaster-${userInfo().uid}`) : join(cache, 'ringmaster', 'home');
  await mkdir(home, { recursive: true, mode: 0o700 });
  return home;
}
