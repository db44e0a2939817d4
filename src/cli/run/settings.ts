/** The part of the configuration that a run without a server needs. */
import { mkdir } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { defaultMaxLogBytes } from '../../builders/index.ts';
import {
  defaultEvaluationLimits,
  type EvaluationLimits,
  type EvaluatorOptions,
} from '../../evaluations/index.ts';
import type { DetectOptions } from '../../nix/index.ts';
import type { CommandContext } from '../context.ts';

export interface RunSettings {
  readonly nix: DetectOptions;
  readonly evaluator: Pick<EvaluatorOptions, 'prefer' | 'allowedUris'>;
  readonly limits: EvaluationLimits;
  /** Builds at the same time. */
  readonly slots: number | undefined;
  /** Seconds. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  readonly maxLogBytes: number;
}

/** Reads the configuration as the server would. */
export async function loadRunSettings(context: CommandContext): Promise<RunSettings> {
  return {
    nix: { home: await privateHome(context.env), sandbox: 'required' },
    evaluator: {},
    limits: defaultEvaluationLimits,
    slots: undefined,
    timeoutSeconds: 3600,
    maxSilentSeconds: 1800,
    maxLogBytes: defaultMaxLogBytes,
  };
}

/** A folder for Nix's caches that is kept between runs: not the data directory, which a server may hold. */
async function privateHome(env: CommandContext['env']): Promise<string> {
  const cache = env.XDG_CACHE_HOME || (env.HOME ? join(env.HOME, '.cache') : undefined);
  const home =
    cache === undefined ? join(tmpdir(), `ringmaster-${userInfo().uid}`) : join(cache, 'ringmaster', 'home');
  await mkdir(home, { recursive: true, mode: 0o700 });
  return home;
}
