/** The files of a commit in a folder named `source`, as Nix names what it fetches. */
import { cp, lstat, mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { OperatorError, runProcess } from '../../../basics/index.ts';

/**
 * A folder that holds what the commit holds. A server's checkout is that already. In somebody's
 * working tree, as in Nix's own reading of one, it is what git tracks, as it lies there.
 */
export async function commitFiles(
  checkout: string,
  directory: string,
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string> {
  const isRepository = await exists(join(checkout, '.git'));
  if (!isRepository && basename(checkout) === 'source') return checkout;
  const source = join(directory, 'source');
  if (!isRepository) {
    await cp(checkout, source, { recursive: true, verbatimSymlinks: true });
    return source;
  }
  const listed = await runProcess('git', ['-C', checkout, 'ls-files', '-z', '--cached'], { env, signal });
  if (listed.exitCode !== 0) {
    throw new OperatorError({
      code: 'git-failed',
      message: `The files that git tracks cannot be listed: ${listed.stderr.trim()}`,
    });
  }
  await mkdir(source);
  for (const file of new Set(listed.stdout.split('\0'))) {
    if (file !== '') await copyFile(join(checkout, file), join(source, file));
  }
  return source;
}

async function copyFile(from: string, to: string): Promise<void> {
  const found = await exists(from);
  // Deleted but not yet committed, or a submodule, which a flake does not see either.
  if (!found || found.isDirectory()) return;
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to, { verbatimSymlinks: true });
}

async function exists(path: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isMissingFile(error)) return undefined;
    throw error;
  }
}

export function isMissingFile(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
