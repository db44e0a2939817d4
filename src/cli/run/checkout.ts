/** The folder to evaluate, and what git says about it. */
import { realpath, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { exitStatus, OperatorError, runProcess } from '../../basics/index.ts';
import type { SourceArgument } from '../../evaluations/index.ts';
import type { CommandContext } from '../context.ts';

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

/** Git's answer; undefined when it has none, is not installed or refuses to look. */
async function askGit(
  { env }: CommandContext,
  directory: string,
  question: readonly string[],
): Promise<string | undefined> {
  const environment = { PATH: env.PATH ?? '', HOME: env.HOME ?? '/', GIT_TERMINAL_PROMPT: '0' };
  try {
    const answer = await runProcess('git', ['-C', directory, ...question], {
      env: environment,
      timeoutMs: 30_000,
    });
    return answer.exitCode === 0 && answer.stdout !== '' ? answer.stdout : undefined;
  } catch {
    return undefined;
  }
}
