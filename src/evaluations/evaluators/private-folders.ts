/**
 * The private folders of evaluations, which may hold tokens and gigabytes. Each says whose it is, so that
 * what a killed process left is removed by the next one that starts, and nothing that is in use.
 */
import { lstat, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  canJudge,
  identifySelf,
  isAlive,
  type Logger,
  messageOf,
  type ProcessIdentity,
} from '../../basics/index.ts';

const prefix = 'ringmaster-evaluation-';
const ownerFile = 'owner.json';

const owner = z.object({
  host: z.string(),
  bootId: z.string(),
  pidNamespace: z.string(),
  pid: z.number(),
  pidStarted: z.string(),
});

/** Makes a folder that is this process's own. */
export async function makePrivateFolder(below: string): Promise<string> {
  const folder = await mkdtemp(join(below, prefix));
  // Before anything else is in it.
  await writeFile(join(folder, ownerFile), JSON.stringify(await identifySelf()));
  return folder;
}

/** Removes the folders that this user's dead processes have left. */
export async function removeLeftOverFolders(below: string, log: Logger): Promise<void> {
  const names = await readdir(below).catch(() => []);
  const self = await identifySelf();
  for (const name of names.filter((each) => each.startsWith(prefix))) {
    const folder = join(below, name);
    try {
      if (!(await isLeftOver(folder, self))) continue;
      await rm(folder, { recursive: true, force: true });
      log.info({ folder }, 'what a process that was killed left of an evaluation is removed');
    } catch (error) {
      log.warn({ folder, reason: messageOf(error) }, 'what is left of an evaluation could not be removed');
    }
  }
}

/** One without an owner, or of another machine or container, may be in use by somebody who is not seen here. */
async function isLeftOver(folder: string, self: ProcessIdentity): Promise<boolean> {
  const found = await lstat(folder).catch(() => undefined);
  // The folder for temporary files belongs to everybody: what others put there is not followed.
  if (!found?.isDirectory() || found.uid !== process.getuid?.()) return false;
  const text = await readFile(join(folder, ownerFile), 'utf8').catch(() => undefined);
  const holder = text === undefined ? undefined : parsed(text);
  if (holder === undefined) return false;
  if (holder.host === self.host && holder.bootId !== self.bootId) return true;
  return canJudge(self, holder) && !(await isAlive(holder));
}

function parsed(text: string): ProcessIdentity | undefined {
  try {
    return owner.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
