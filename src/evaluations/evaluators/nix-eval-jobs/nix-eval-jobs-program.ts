/** What the installed nix-eval-jobs can do. */
import { realpath } from 'node:fs/promises';
import type { Logger } from '../../../basics/index.ts';
import { runProcess } from '../../../basics/index.ts';

export interface JobsProgram {
  readonly program: string;
  /** For people: `2.33.1`, or empty where it does not tell. */
  readonly version: string;
  /** Why it does not restrict what the code under evaluation may read; undefined when it does. */
  readonly unrestricted: string | undefined;
}

/** The first version in which `restrict-eval` has an effect; before, it is switched off again. */
const firstRestricting = [2, 28, 1] as const;

/** Options that are always used, and one that shows that a nameless version is new enough. */
const needed = ['--workers', '--max-memory-size', '--meta', '--expr', '--gc-roots-dir'];
const newerThanRestricting = '--select';

/**
 * Asks a nix-eval-jobs for its version and options. Returns why it cannot be used as a string: it
 * has not got the options, or cannot be started at all.
 */
export async function probeJobsProgram(
  program: string,
  env: Readonly<Record<string, string>>,
  log: Logger,
): Promise<JobsProgram | string> {
  const options = { env, timeoutMs: 30_000, maxOutputBytes: 1024 * 1024 };
  const help = await runProcess(program, ['--help'], options);
  if (help.exitCode !== 0) return `'${program} --help' failed: ${help.stderr.trim()}`;
  const missing = needed.filter((option) => !help.stdout.includes(option));
  if (missing.length > 0) return `it has no ${missing.join(', ')}`;
  // No version has the option so far. In a store, the folder tells.
  const answer = await runProcess(program, ['--version'], options);
  const tells = answer.exitCode === 0 ? answer.stdout : nameInStore(await realpath(program).catch(() => ''));
  const version = tells.match(/\d+\.\d+(?:\.\d+)?/)?.[0] ?? '';
  log.debug({ program, version }, 'found nix-eval-jobs');
  return { program, version, unrestricted: whyUnrestricted(version, help.stdout) };
}

/** `nix-eval-jobs-2.33.1` of the package that the program is in. */
function nameInStore(file: string): string {
  return /\/[a-z0-9]{32}-nix-eval-jobs-([^/]*)\//.exec(file)?.[1] ?? '';
}

function whyUnrestricted(version: string, help: string): string | undefined {
  if (version === '') {
    return help.includes(newerThanRestricting)
      ? undefined
      : 'it does not tell its version and is older than 2.31';
  }
  if (atLeast(version, firstRestricting)) return undefined;
  return `version ${version} cannot restrict evaluation, ${firstRestricting.join('.')} and newer can`;
}

function atLeast(version: string, wanted: readonly number[]): boolean {
  const parts = version.split('.').map(Number);
  for (const [index, number] of wanted.entries()) {
    const part = parts[index] ?? 0;
    if (part !== number) return part > number;
  }
  return true;
}
