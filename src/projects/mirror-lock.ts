/**
 * One git operation per mirror at a time, within this process and between processes.
 *
 * The lock file names its holder; that of a dead process is taken over. It appears whole, by
 * link(2), so that nobody ever reads half of it.
 */
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { canJudge, identifySelf, isAlive, type ProcessIdentity } from '../basics/index.ts';

const holderSchema = z.object({
  host: z.string(),
  bootId: z.string(),
  pidNamespace: z.string(),
  pid: z.number(),
  pidStarted: z.string(),
});

/** Milliseconds between looks at a lock that another process holds. */
const lookEvery = 200;

export interface HeldLock {
  /** Whether its last holder died with it, perhaps in the middle of something. */
  readonly takenOver: boolean;
  release(): Promise<void>;
}

/** Waits for the lock file; undefined when it is not to be had within the time. */
export async function acquireLock(
  file: string,
  options: { readonly waitMs: number; readonly signal?: AbortSignal | undefined },
): Promise<HeldLock | undefined> {
  const self = await identifySelf();
  const deadline = Date.now() + options.waitMs;
  let takenOver = false;
  while (!options.signal?.aborted) {
    if (await create(file, self)) return { takenOver, release: () => rm(file, { force: true }) };
    const held = await readFile(file, 'utf8').catch(() => undefined);
    if (held === undefined) continue;
    if (await isLeftOver(held, self)) {
      takenOver = (await discard(file, held)) || takenOver;
      continue;
    }
    if (Date.now() > deadline) return undefined;
    await pause(lookEvery);
  }
  return undefined;
}

async function create(file: string, self: ProcessIdentity): Promise<boolean> {
  const draft = `${file}.${crypto.randomUUID()}`;
  await writeFile(draft, JSON.stringify(self), { mode: 0o600 });
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function isLeftOver(content: string, self: ProcessIdentity): Promise<boolean> {
  const holder = holderSchema.safeParse(parsed(content));
  if (!holder.success) return true;
  if (holder.data.host === self.host && holder.data.bootId !== self.bootId) return true;
  return canJudge(self, holder.data) && !(await isAlive(holder.data));
}

function parsed(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

/** Moves the lock aside, and back when somebody else had meanwhile taken it over. */
async function discard(file: string, judged: string): Promise<boolean> {
  const aside = `${file}.${crypto.randomUUID()}`;
  try {
    await rename(file, aside);
  } catch {
    return false;
  }
  const moved = await readFile(aside, 'utf8');
  if (moved !== judged) await link(aside, file).catch(() => {});
  await rm(aside, { force: true });
  return moved === judged;
}
