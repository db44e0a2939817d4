/**
 * One server a data directory: a lock that names its holder.
 *
 * A lock left behind by kill -9 or a power cut is taken over: the holder is dead when its pid is
 * gone, belongs to a process that started at another time, or the machine has booted since. Where
 * pids cannot be compared (another container on a shared volume), the file's age decides: its
 * holder touches it every few seconds.
 *
 * Replacing or removing a stale file would race with others who do the same. So `lock/` holds
 * numbered files, the highest is the lock, and taking it means creating the next number, which
 * only one can. The highest is never removed, only marked as free; who holds it removes the others.
 */
import { link, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  canJudge,
  identifySelf,
  isAlive,
  makeFolder,
  OperatorError,
  type ProcessIdentity,
} from '../basics/index.ts';

export interface DataDirectoryLock {
  readonly dataDir: string;
  release(): Promise<void>;
}

const touchMs = 5_000;
/** Age of a lock whose holder cannot be looked at, after which it counts as dead. */
const silentMs = 30_000;

const identity = z.object({
  host: z.string(),
  bootId: z.string(),
  pidNamespace: z.string(),
  pid: z.number().int(),
  pidStarted: z.string(),
});

/** Takes the data directory for this process, creating it; refuses while another one has it. */
export async function lockDataDirectory(dataDir: string): Promise<DataDirectoryLock> {
  const directory = join(dataDir, 'lock');
  const self = await identifySelf();
  const file = await makeFolders(dataDir, directory)
    .then(() => take(dataDir, directory, self))
    .catch((error: unknown) => {
      throw unusable(dataDir, error);
    });
  const timer = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => {});
  }, touchMs);
  timer.unref();
  return {
    dataDir,
    async release() {
      clearInterval(timer);
      const free = await writeBeside(directory, 'free');
      await rename(free, file);
    },
  };
}

async function makeFolders(dataDir: string, directory: string): Promise<void> {
  await makeFolder(dataDir, 0o750);
  await makeFolder(directory, 0o700);
}

const fileErrors = new Map([
  ['EEXIST', 'a file has that name, or a link that leads nowhere'],
  ['ENOTDIR', 'a file stands where a folder of its path should be'],
  ['EACCES', 'this user may not write there'],
  ['EPERM', 'this user may not write there'],
  ['EROFS', 'its file system is read-only'],
  ['ENOSPC', 'its disk is full'],
  ['ENOENT', 'nothing can be made there'],
]);

function unusable(dataDir: string, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = fileErrors.get(code);
  if (error instanceof OperatorError || reason === undefined) return error;
  return new OperatorError({
    code: 'data-directory-unusable',
    message: `The data directory ${dataDir} cannot be used: ${reason}.`,
    hint: 'Choose another one with --data-dir, RINGMASTER_DATA_DIR or data_dir in ringmaster.toml, or change who owns this one.',
    exitStatus: 3,
    cause: error,
  });
}

/** The process that has a data directory, when there is a live one. */
export async function dataDirectoryHolder(dataDir: string): Promise<ProcessIdentity | undefined> {
  const directory = join(dataDir, 'lock');
  const highest = await highestNumber(directory);
  return liveHolder(join(directory, String(highest)), await identifySelf());
}

/** Creates the next file and returns its name, once it is the highest. */
async function take(dataDir: string, directory: string, self: ProcessIdentity): Promise<string> {
  const own = await writeBeside(directory, JSON.stringify(self));
  try {
    for (;;) {
      const highest = await highestNumber(directory);
      const holder = await liveHolder(join(directory, String(highest)), self);
      if (holder) throw inUse(dataDir, holder);
      const file = join(directory, String(highest + 1));
      // A link appears with its whole content or not at all, and never replaces a file.
      if (!(await linked(own, file))) continue;
      if ((await highestNumber(directory)) === highest + 1) {
        await removeBelow(directory, highest + 1);
        return file;
      }
      // What was read was old: that number had been taken and removed already.
      await rm(file, { force: true });
    }
  } finally {
    await rm(own, { force: true });
  }
}

async function liveHolder(file: string, self: ProcessIdentity): Promise<ProcessIdentity | undefined> {
  const parsed = identity.safeParse(parseJson(await readFile(file, 'utf8').catch(() => '')));
  if (!parsed.success) return undefined;
  const holder = parsed.data;
  if (canJudge(self, holder)) return (await isAlive(holder)) ? holder : undefined;
  if (self.host === holder.host && self.bootId !== holder.bootId) return undefined;
  const touched = await stat(file).catch(() => undefined);
  return touched && Date.now() - touched.mtimeMs < silentMs ? holder : undefined;
}

/** The highest number there is; 0 when there is none. */
async function highestNumber(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  return Math.max(0, ...names.filter((name) => /^\d+$/.test(name)).map(Number));
}

/** Removes the locks before this one. */
async function removeBelow(directory: string, number: number): Promise<void> {
  for (const name of await readdir(directory)) {
    if (/^\d+$/.test(name) && Number(name) < number) await rm(join(directory, name), { force: true });
  }
}

async function writeBeside(directory: string, text: string): Promise<string> {
  const file = join(directory, `.${crypto.randomUUID()}`);
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined for a lock that is free, or that a power cut left empty. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function inUse(dataDir: string, holder: ProcessIdentity): OperatorError {
  return new OperatorError({
    code: 'data-directory-in-use',
    message: `The data directory ${dataDir} is in use by process ${holder.pid} on ${holder.host}.`,
    hint: 'Stop that server, or give this one another data directory (--data-dir). To run several servers, give them one PostgreSQL through database.url and a data directory each.',
    exitStatus: 3,
  });
}
