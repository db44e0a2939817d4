/** The folder to evaluate, and what git says about it. */
import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { exitStatus, OperatorError, runProcess } from '../../basics/index.ts';
import type { SourceArgument } from '../../evaluations/index.ts';
import type { CommandContext } from '../context.ts';
import { plainLine } from '../terminal/text.ts';

export interface LocalCheckout {
  /** Absolute, without symbolic links. */
  readonly directory: string;
  /**
   * What git tracks or would add, relative to the folder; undefined where the folder is taken as it
   * is, because git has nothing to say about it.
   */
  readonly files: readonly string[] | undefined;
  /** Commit id; undefined outside of git and before the first commit. */
  readonly revision: string | undefined;
  readonly source: SourceArgument;
}

/** What `src` says where there is no commit. */
const noRevision = '0'.repeat(40);

/** Looks at the path a person gave. Files are taken as they lie there, uncommitted changes included. */
export async function findCheckout(context: CommandContext, path: string): Promise<LocalCheckout> {
  const directory = await existingDirectory(resolve(context.workingDirectory, path), path);
  const [revision, head, files] = await Promise.all([
    askGit(context, directory, ['rev-parse', '--verify', '--quiet', 'HEAD']),
    askGit(context, directory, ['symbolic-ref', '--quiet', 'HEAD']),
    askGit(context, directory, ['ls-files', '-z', '--cached', '--others', '--exclude-standard']),
  ]);
  if (files === undefined && revision === undefined) await explainSilence(context, directory, path);
  const ref = head?.trim();
  const branch = ref?.startsWith('refs/heads/') ? ref.slice('refs/heads/'.length) : undefined;
  return {
    directory,
    files: files === undefined ? undefined : [...new Set(files.split('\0').filter((name) => name !== ''))],
    revision: revision?.trim(),
    source: {
      rev: revision?.trim() ?? noRevision,
      ref: ref ?? 'HEAD',
      ...(branch === undefined ? {} : { branch }),
    },
  };
}

async function existingDirectory(path: string, asGiven: string): Promise<string> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    throw new OperatorError({
      code: 'checkout-missing',
      message:
        found.code === 'ENOENT'
          ? `There is no folder '${asGiven}'.`
          : `The folder '${asGiven}' cannot be read: ${found.message}`,
      hint: 'Give the root folder of a checkout, or leave it out for the folder you are in.',
      exitStatus: exitStatus.usage,
    });
  }
  if (found.isDirectory()) return realpath(path);
  throw new OperatorError({
    code: 'checkout-not-a-folder',
    message: `'${asGiven}' is not a folder.`,
    hint: 'Give the root folder of the checkout; which file in it is evaluated follows from its name.',
    exitStatus: exitStatus.usage,
  });
}

/**
 * Git has nothing to say of a folder. That is well where there is no repository, but not where there
 * is one that git refuses to read: what git ignores would then be evaluated as well.
 */
async function explainSilence(context: CommandContext, directory: string, asGiven: string): Promise<void> {
  const bare = await askGit(context, directory, ['rev-parse', '--is-bare-repository', '--is-inside-git-dir']);
  if (bare?.includes('true')) throw noWorkTree(asGiven);
  if ((await stat(join(directory, '.git')).catch(() => undefined)) === undefined) return;
  const reason = await gitComplaint(context, directory);
  if (reason === undefined || context.options.quiet) return;
  context.stderr.write(
    `warning: git does not read '${plainLine(asGiven)}', so the folder is taken as it is, ignored files included: ${plainLine(reason)}\n`,
  );
}

function noWorkTree(asGiven: string): OperatorError {
  return new OperatorError({
    code: 'checkout-bare',
    message: `'${asGiven}' is the inside of a git repository, without files of a commit.`,
    hint: 'Clone it, and give the folder of the clone.',
    exitStatus: exitStatus.usage,
  });
}

/** Why git gives no answer; undefined when it gives one. */
async function gitComplaint({ env }: CommandContext, directory: string): Promise<string | undefined> {
  try {
    const { exitCode, stderr } = await runProcess('git', ['-C', directory, 'rev-parse', '--git-dir'], {
      env: gitEnvironment(env),
      timeoutMs: 30_000,
    });
    return exitCode === 0 ? undefined : stderr.trim();
  } catch {
    return 'git was not found on PATH';
  }
}

function gitEnvironment(env: CommandContext['env']): Record<string, string> {
  return { PATH: env.PATH ?? '', HOME: env.HOME ?? '/', GIT_TERMINAL_PROMPT: '0' };
}

/** Git's answer; undefined when it has none, is not installed or refuses to look. */
async function askGit(
  { env }: CommandContext,
  directory: string,
  question: readonly string[],
): Promise<string | undefined> {
  try {
    const answer = await runProcess('git', ['-C', directory, ...question], {
      env: gitEnvironment(env),
      timeoutMs: 30_000,
    });
    return answer.exitCode === 0 && answer.stdout !== '' ? answer.stdout : undefined;
  } catch {
    return undefined;
  }
}
