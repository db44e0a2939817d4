/**
 * One server a data directory: a lock file that names its holder.
 *
 * A lock left behind by kill -9 or a power cut is taken over: the holder is dead when its pid is
 * gone, belongs to a process that started at another time, or the machine has booted since. Where
 * pids cannot be compared (another container on a shared volume), the file's age decides: its
 * holder touches it every few seconds.
 */
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { OperatorError } from '../basics/index.ts';
import { canJudge, identifySelf, isAlive, type ProcessIdentity } from './process-identity.ts';

export interface DataDirectoryLock {
  readonly dataDir: string;
  release(): Promise<void>;
}

const lockFile = 'ringmaster.lock';
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
  await mkdir(dataDir, { recursive: true, mode: 0o750 });
  const file = join(dataDir, lockFile);
  const self = await identifySelf();
  const text = JSON.stringify(self);
  const own = `${file}.${crypto.randomUUID()}`;
  await writeFile(own, text, { mode: 0o600 });
  try {
    // A link appears whole or not at all, and never replaces a lock that is there.
    for (let attempt = 0; !(await linked(own, file)); attempt += 1) {
      const holder = await readHolder(file);
      if (holder && (attempt === 5 || (await holds(holder, self, file)))) throw inUse(dataDir, holder);
      await removeStale(file, holder);
    }
  } finally {
    await rm(own, { force: true });
  }
  const timer = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => {});
  }, touchMs);
  timer.unref();
  return {
    dataDir,
    async release() {
      clearInterval(timer);
      if ((await readText(file)) === text) await rm(file, { force: true });
    },
  };
}

/** The process that has a data directory, when there is a live one. */
export async function dataDirectoryHolder(dataDir: string): Promise<ProcessIdentity | undefined> {
  const file = join(dataDir, lockFile);
  const holder = await readHolder(file);
  return holder && (await holds(holder, await identifySelf(), file)) ? holder : undefined;
}

async function holds(holder: ProcessIdentity, self: ProcessIdentity, file: string): Promise<boolean> {
  if (canJudge(self, holder)) return isAlive(holder);
  if (self.host === holder.host && self.bootId !== holder.bootId) return false;
  const touched = await stat(file).catch(() => undefined);
  return touched !== undefined && Date.now() - touched.mtimeMs < silentMs;
}

/** Removes the lock that was read, and no newer one that took its place meanwhile. */
async function removeStale(file: string, holder: ProcessIdentity | undefined): Promise<void> {
  const aside = `${file}.${crypto.randomUUID()}`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  const moved = await readHolder(aside);
  if (JSON.stringify(moved) !== JSON.stringify(holder)) await linked(aside, file);
  await rm(aside, { force: true });
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

/** Undefined when there is no lock, or none that can be read: a crash may have left an empty file. */
async function readHolder(file: string): Promise<ProcessIdentity | undefined> {
  try {
    return identity.parse(JSON.parse((await readText(file)) ?? ''));
  } catch {
    return undefined;
  }
}

function readText(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}

function inUse(dataDir: string, holder: ProcessIdentity): OperatorError {
  return new OperatorError({
    code: 'data-directory-in-use',
    message: `The data directory ${dataDir} is in use by process ${holder.pid} on ${holder.host}.`,
    hint: 'Stop that server, or give this one another data directory (--data-dir). To run several servers, give them one PostgreSQL through database.url and a data directory each.',
    exitStatus: 3,
  });
}
