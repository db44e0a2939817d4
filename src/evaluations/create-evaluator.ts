import { availableParallelism, tmpdir } from 'node:os';
import { dirname } from 'node:path';
import type { Logger } from '../basics/index.ts';
import { OperatorError, runProcess } from '../basics/index.ts';
import { chooseAccess, layoutOf, type StoreLayout } from '../nix/index.ts';
import { findOnPath, probeContainment } from './command-line.ts';
import { createEvaluate } from './evaluate.ts';
import type { Evaluate } from './events.ts';
import { createJobsWalk } from './nix-eval-jobs.ts';
import { type JobsProgram, probeJobsProgram } from './nix-eval-jobs-program.ts';
import { defaultAllowedUris } from './restrictions.ts';
import type { Walk } from './walk.ts';
import { createWalker } from './walker.ts';

/** The Nix to evaluate with. */
export interface EvaluatorNix {
  /** Environment for Nix children, with PATH. Of the rest only what Nix needs is passed on. */
  readonly env: Readonly<Record<string, string>>;
  /** `nix-instantiate`; default: from PATH. */
  readonly nixInstantiate?: string;
  /** `nix-eval-jobs`; default: from PATH, if it is there. */
  readonly nixEvalJobs?: string;
  /** Where the store's files are. Default: as NIX_REMOTE in `env` tells. */
  readonly store?: StoreLayout;
}

export interface EvaluatorOptions {
  readonly nix: EvaluatorNix;
  readonly log: Logger;
  /** Default: nix-eval-jobs where it is installed and can do what is needed, else the built-in one. */
  readonly prefer?: 'nix-eval-jobs' | 'built-in';
  /** URI prefixes that evaluations may fetch from. */
  readonly allowedUris?: readonly string[];
  readonly temporaryDirectory?: string;
  /** Worker processes of nix-eval-jobs. Default: a process a core, at most 4. */
  readonly workers?: number;
  /** Where nix-eval-jobs puts links that keep the .drv files it made from being collected. */
  readonly gcRootsDirectory?: string;
}

export interface Evaluator {
  /** `nix-eval-jobs 2.33.1`, `built-in (nix 2.8.0)`. */
  readonly name: string;
  readonly evaluate: Evaluate;
}

/** Finds out what is installed and makes the evaluator from it. Both kinds give the same answers. */
export async function createEvaluator(options: EvaluatorOptions): Promise<Evaluator> {
  const { nix, log } = options;
  const allowedUris = options.allowedUris ?? defaultAllowedUris;
  const program = await nixInstantiate(nix);
  const containment = await probeContainment(nix.env.PATH ?? '');
  const common = { env: nix.env, allowedUris, containment, log };
  const repl = await findOnPath('nix', dirname(program));
  const builtIn = createWalker({ ...common, program, ...(repl === undefined ? {} : { repl }) });
  const make = (name: string, walk: Walk): Evaluator => ({
    name,
    evaluate: createEvaluate({
      name,
      walk,
      log,
      store: nix.store ?? layoutOf(chooseAccess(nix.env), '/nix/store'),
      temporaryDirectory: options.temporaryDirectory ?? tmpdir(),
    }),
  });
  const jobs = options.prefer === 'built-in' ? undefined : await jobsProgram(options);
  if (jobs === undefined) return make(`built-in (nix ${await nixVersion(program, nix.env)})`, builtIn);
  const { gcRootsDirectory } = options;
  const walk = createJobsWalk({
    ...common,
    jobs,
    workers: options.workers ?? Math.min(4, availableParallelism()),
    fallback: builtIn,
    ...(gcRootsDirectory === undefined ? {} : { gcRootsDirectory }),
  });
  return make(`nix-eval-jobs ${jobs.version}`.trim(), walk);
}

/** The nix-eval-jobs to use, if there is one that can be used. */
async function jobsProgram({ nix, log, prefer }: EvaluatorOptions): Promise<JobsProgram | undefined> {
  const program = nix.nixEvalJobs ?? (await findOnPath('nix-eval-jobs', nix.env.PATH ?? ''));
  const found = program === undefined ? 'it is not on PATH' : await probeJobsProgram(program, nix.env, log);
  if (typeof found !== 'string') return found;
  if (prefer === 'nix-eval-jobs') {
    throw new OperatorError({
      code: 'nix-eval-jobs-unusable',
      message: `nix-eval-jobs cannot be used: ${found}.`,
      hint: 'Install nix-eval-jobs 2.28.1 or newer, or let the built-in evaluator be used.',
      exitStatus: 3,
    });
  }
  if (program !== undefined) log.warn({ program, reason: found }, 'nix-eval-jobs is not used');
  return undefined;
}

async function nixInstantiate(nix: EvaluatorNix): Promise<string> {
  const program = nix.nixInstantiate ?? (await findOnPath('nix-instantiate', nix.env.PATH ?? ''));
  if (program !== undefined) return program;
  throw new OperatorError({
    code: 'nix-missing',
    message: `The program 'nix-instantiate' was not found.`,
    hint: 'Install Nix, or put it on PATH.',
    exitStatus: 3,
  });
}

async function nixVersion(program: string, env: Readonly<Record<string, string>>): Promise<string> {
  const { stdout } = await runProcess(program, ['--version'], { env: { ...env }, timeoutMs: 30_000 });
  return stdout.match(/\d+\.\d+\S*/)?.[0] ?? 'of unknown version';
}
