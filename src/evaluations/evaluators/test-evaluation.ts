/** For tests: checkouts made of a few lines of Nix, and evaluations read to their end. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { NixUnderTest } from '../../nix/test-nix.ts';
import {
  defaultEvaluationLimits,
  type EvaluationError,
  type EvaluationEvent,
  type EvaluationLimits,
  type JobFound,
} from '../events.ts';
import type { Evaluator } from './create-evaluator.ts';

/** Files by name; `-> TARGET` makes a symbolic link. A string alone is ci.nix. */
export type CheckoutFiles = string | Readonly<Record<string, string>>;

/** In scope in every `.nix` file that {@link writeCheckout} writes; a line of its own, the first. */
const prelude =
  'let d = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; }; ' +
  'walk = set: set // { recurseForDerivations = true; }; in\n';

/** Makes a checkout below a new folder of its own; `before` stands in front of every `.nix` file. */
export async function writeCheckout(below: string, files: CheckoutFiles, before = prelude): Promise<string> {
  const checkout = join(await mkdtemp(join(below, 'checkout-')), 'source');
  await mkdir(checkout);
  for (const [name, text] of Object.entries(typeof files === 'string' ? { 'ci.nix': files } : files)) {
    const file = join(checkout, name);
    await mkdir(dirname(file), { recursive: true });
    if (text.startsWith('-> ')) await symlink(text.slice(3), file);
    else await writeFile(file, name.endsWith('.nix') && text !== '' ? before + text : text);
  }
  return checkout;
}

/** Stands in for nix-eval-jobs. */
export const jobsDouble = join(import.meta.dirname, '../../../test/nix-eval-jobs-double/nix-eval-jobs.mjs');

/** The nix-eval-jobs to test with a Nix: a real one that the environment names, else the double. */
export function jobsUnderTest({ nixEvalJobs = jobsDouble }: Pick<NixUnderTest, 'nixEvalJobs'>) {
  return { nixEvalJobs, readablePaths: [nixEvalJobs] };
}

export interface TestFolder {
  readonly path: string;
  remove(): Promise<void>;
}

export async function makeTestFolder(): Promise<TestFolder> {
  const path = await mkdtemp(join(tmpdir(), 'ringmaster-test-evaluation-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

export interface TestEvaluation {
  readonly limits?: Partial<EvaluationLimits>;
  readonly trusted?: boolean;
  /** Of a flake. */
  readonly systems?: readonly string[];
  readonly signal?: AbortSignal;
}

/** The request for a checkout, with generous limits. */
export function requestFor(checkout: string, options: TestEvaluation = {}) {
  return {
    checkout,
    source: { rev: '1234567890123456789012345678901234567890', ref: 'refs/heads/main', branch: 'main' },
    trusted: options.trusted ?? true,
    limits: { ...defaultEvaluationLimits, ...options.limits },
    ...(options.systems && { systems: options.systems }),
    signal: options.signal ?? new AbortController().signal,
  };
}

/** All events of one evaluation. */
export async function evaluateAll(
  evaluator: Evaluator,
  checkout: string,
  options: TestEvaluation = {},
): Promise<readonly EvaluationEvent[]> {
  const events: EvaluationEvent[] = [];
  for await (const event of evaluator.evaluate(requestFor(checkout, options))) events.push(event);
  return events;
}

export function jobsOf(events: readonly EvaluationEvent[]): readonly JobFound[] {
  return events.flatMap((event) => (event.type === 'job' ? [event] : []));
}

export function errorsOf(events: readonly EvaluationEvent[]): readonly EvaluationError[] {
  return events.flatMap((event) => (event.type === 'error' ? [event] : []));
}

export function noticesOf(events: readonly EvaluationEvent[]): readonly string[] {
  return events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
}
