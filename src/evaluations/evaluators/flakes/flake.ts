/** Gets a flake ready to be walked: its files in the store, its inputs looked at. */
import { runProcess } from '../../../basics/index.ts';
import type { SourceArgument } from '../../events.ts';
import { findLockProblem } from './flake-lock.ts';
import type { FlakeRoot } from './flake-root.ts';
import { addFlakeSource, type FlakeSource, type FlakeSourceOptions } from './flake-source.ts';

export interface FlakeOptions extends FlakeSourceOptions {
  /** Systems whose outputs are jobs. Default: the one of this machine. */
  readonly systems?: readonly string[];
  readonly allowedUris: readonly string[];
}

export interface FlakeRequest {
  /** Resolved absolute path. */
  readonly checkout: string;
  /** Private folder of the evaluation. */
  readonly directory: string;
  readonly source: SourceArgument;
  readonly trusted: boolean;
  /** Systems that the repository wants. */
  readonly systems?: readonly string[];
  /** The store behind the evaluation's gate, as Nix is to address it. */
  readonly store: string;
  /** Called when the result depends on the commit and not on its files alone. */
  readonly onCommitUsed?: () => void;
  readonly signal: AbortSignal;
}

export interface OpenedFlake {
  readonly root: FlakeRoot;
  readonly source: FlakeSource;
}

/** The flake of a checkout, or why it cannot be evaluated. */
export async function openFlake(
  options: FlakeOptions,
  request: FlakeRequest,
): Promise<OpenedFlake | { readonly problem: string }> {
  // Nor does other code that is not trusted fetch anything.
  const problem = await findLockProblem(request.checkout, request.trusted ? options.allowedUris : []);
  if (problem !== undefined) return { problem };
  // self.rev and what follows from it are there for every flake that looks.
  request.onCommitUsed?.();
  const source = await addFlakeSource(options, { ...request, rev: request.source.rev });
  const wanted = request.systems ?? options.systems;
  const systems = wanted?.length ? wanted : [await currentSystem(options)];
  return { root: { reference: source.reference, systems }, source };
}

async function currentSystem({ program, env }: FlakeSourceOptions): Promise<string> {
  const args = ['--eval', '--expr', 'builtins.currentSystem'];
  const { stdout, stderr } = await runProcess(program, args, { env, timeoutMs: 30_000 });
  const [, system] = /"(.*)"/.exec(stdout) ?? [];
  if (system === undefined) throw new Error(`Nix does not tell its system: ${stderr}`);
  return system;
}

const notLocked = [
  /cannot update (?:unlocked )?flake input '([^']+)' in pure mode/,
  /lock ?file contains (?:mutable|unlocked) (?:lock|input) '([^\n]+)'/,
];

/** The sentence for an error that a missing or stale lock file makes, or undefined for any other. */
export function explainLockFailure(text: string): string | undefined {
  const [input] = notLocked.flatMap((pattern) => pattern.exec(text)?.[1] ?? []);
  if (input === undefined) return undefined;
  const [, path] = /^\{.*"path":"([^"]*)".*"type":"path"/.exec(input) ?? [];
  if (path !== undefined) {
    return `error: 'flake.lock' has the input '${path}', a relative path, as Nix from 2.26 on locks it. The older Nix of this server cannot read that: it wants an input of that kind fetched from elsewhere, or files imported without making them a flake.`;
  }
  return `error: 'flake.lock' is missing or stale: it does not lock the input '${input}' as 'flake.nix' asks for it. It is never written here; run 'nix flake lock' and commit the file.`;
}
