import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder and those above it that are missing; one that is there is left as it is.
 *
 * For paths that people name. In Node 20 `mkdir` with `recursive` never ends where the system says ENOENT
 * although the folder above is there: in /proc, and below links to a disk that is not mounted.
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  const error = await attempt(path, mode);
  if (error === undefined) return;
  const above = dirname(path);
  if (error.code !== 'ENOENT' || above === path) throw error;
  await makeFolder(above, mode);
  const again = await attempt(path, mode);
  if (again) throw again;
}

async function attempt(path: string, mode: number): Promise<NodeJS.ErrnoException | undefined> {
  try {
    await mkdir(path, { mode });
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const found = await stat(path).catch(() => undefined);
    return found?.isDirectory() ? undefined : error;
  }
}
