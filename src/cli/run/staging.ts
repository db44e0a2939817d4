/**
 * The files of a checkout as the server would see them once everything is committed: what git
 * tracks or would add, without `.git` and what it ignores, in a folder named `source`. So `./.` has
 * the name and the content it has on the server, and with them every derivation its path; and the
 * rest of the folder (build results, editors' files) is neither copied to the store nor a cause to
 * build anew. Files are linked where that is possible, so nothing is copied.
 */
import { constants } from 'node:fs';
import { copyFile, link, lstat, mkdir, mkdtemp, readlink, realpath, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import PQueue from 'p-queue';

export interface StagedFiles {
  readonly directory: string;
  remove(): Promise<void>;
}

/** Files that are linked at the same time. */
const parallel = 32;

/** `names` are relative to `from`; those that are no files (any more), such as submodules, are left out. */
export async function stageFiles(
  from: string,
  names: readonly string[],
  below: string,
): Promise<StagedFiles> {
  const place = await realpath(await mkdtemp(join(below, 'checkout-')));
  const remove = () => rm(place, { recursive: true, force: true });
  const directory = join(place, 'source');
  try {
    await mkdir(directory);
    const folders = new Set(names.map((name) => dirname(name)));
    for (const folder of folders) await mkdir(join(directory, folder), { recursive: true });
    const queue = new PQueue({ concurrency: parallel });
    await queue.addAll(names.map((name) => () => stageFile(join(from, name), join(directory, name))));
    return { directory, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function stageFile(from: string, to: string): Promise<void> {
  const found = await lstat(from).catch(() => undefined);
  if (found?.isSymbolicLink()) return symlink(await readlink(from), to);
  if (!found?.isFile()) return;
  // Another file system, or a file of another user: links are refused.
  await link(from, to).catch(() => copyFile(from, to, constants.COPYFILE_FICLONE));
}
