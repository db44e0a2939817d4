import { join } from 'node:path';
import { OperatorError } from '../basics/errors.ts';
import type { Logger } from '../basics/logging.ts';
import { runProcess } from '../basics/process.ts';
import { findOnPath } from './command-line.ts';
import type { StoreLocation } from './derivation-file.ts';
import { createEvaluate } from './evaluate.ts';
import type { Evaluate } from './events.ts';
import { defaultAllowedUris } from './restrictions.ts';
import { createWalker } from './walker.ts';

/** The Nix to evaluate with. */
export interface EvaluatorNix {
  /** Environment for Nix children, with PATH. Of the rest only what Nix needs is passed on. */
  readonly env: Readonly<Record<string, string>>;
  /** `nix-instantiate`; default: from PATH. */
  readonly nixInstantiate?: string;
  /** `nix-eval-jobs`; default: from PATH, if it is there. */
  readonly nixEvalJobs?: string;
  /** Default: as NIX_REMOTE in `env` tells, else `/nix/store`. */
  readonly store?: StoreLocation;
}

export interface EvaluatorOptions {
  readonly nix: EvaluatorNix;
  readonly log: Logger;
  /** Default: nix-eval-jobs where it is installed and can do what is needed, else the built-in one. */
  readonly prefer?: 'nix-eval-jobs' | 'built-in';
  /** URI prefixes that evaluations may fetch from. */
  readonly allowedUris?: readonly string[];
  readonly temporaryDirectory?: string;
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
  const version = await nixVersion(program, nix.env);
  const name = `built-in (nix ${version})`;
  const walk = createWalker({ program, env: nix.env, allowedUris, log });
  const store = nix.store ?? storeLocation(nix.env.NIX_REMOTE);
  const temporaryDirectory = options.temporaryDirectory;
  const common = { store, log, ...(temporaryDirectory === undefined ? {} : { temporaryDirectory }) };
  return { name, evaluate: createEvaluate({ ...common, name, walk }) };
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

/** Where the store's files are, from the forms of NIX_REMOTE that name a root directory. */
export function storeLocation(nixRemote: string | undefined): StoreLocation {
  const storeDir = '/nix/store';
  const root = nixRemote?.startsWith('/') ? nixRemote : nixRemote?.match(/^local\?(?:.*&)?root=([^&]+)/)?.[1];
  return {
    storeDir,
    physicalDir: root === undefined ? storeDir : join(decodeURIComponent(root), 'nix/store'),
  };
}
