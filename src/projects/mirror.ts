/**
 * A bare repository per project that keeps what was fetched, so that the next commit costs only
 * its difference. It is a cache: whatever is wrong with it, it is thrown away and made anew.
 *
 * Every fetched commit has a ref of its own. Git writes that ref last, so a commit with a ref is
 * there whole, whatever was killed in between.
 */
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, messageOf } from '../basics/index.ts';
import { failureOf, type GitFailure, type GitRun, runGit } from './git.ts';
import { acquireLock } from './mirror-lock.ts';
import type { GitSource } from './types.ts';

export interface MirrorsOptions {
  readonly dataDir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** Milliseconds for one fetch. */
  readonly fetchTimeoutMs: number;
}

export interface Mirror {
  readonly path: string;
  /** Whether the commit is there whole. */
  has(sha: string): Promise<boolean>;
  /** Brings the commit; undefined when it is there then. */
  fetch(wanted: WantedCommit): Promise<GitFailure | undefined>;
  /** Throws the mirror away and starts an empty one. */
  recreate(): Promise<void>;
}

export interface WantedCommit {
  readonly source: GitSource;
  readonly sha: string;
  /** Asked for when the server does not give single commits. */
  readonly gitRef: string;
  readonly signal: AbortSignal | undefined;
}

export interface Mirrors {
  /** Works on a mirror while nobody else does. 'busy' when another process keeps it too long. */
  use<T>(name: string, work: (mirror: Mirror) => Promise<T>, signal?: AbortSignal): Promise<T | 'busy'>;
  /** Removes mirrors that nobody has used for a month. */
  prune(): Promise<void>;
}

/** Milliseconds for what needs no network. */
const localTimeoutMs = 60_000;
/** How far back from a branch's tip a commit is looked for, when it cannot be had by itself. */
const fallbackDepth = 100;
/** Commits after which a mirror starts anew: its packs and refs are never collected otherwise. */
const maxCommits = 250;
/** The same by size: a mirror that is so many times its largest pack has mostly what nobody wants. */
const most = { timesLargest: 4, spareBytes: 512 * 1024 * 1024 };
/** Milliseconds without use after which a mirror is removed. */
const unusedFor = 30 * 24 * 3600 * 1000;
const refPrefix = 'refs/ringmaster/';

/** The mirrors below one data directory. */
export function createMirrors(options: MirrorsOptions): Mirrors {
  const root = join(options.dataDir, 'mirrors');
  /** The last piece of work per mirror in this process; the next one starts when it has ended. */
  const queues = new Map<string, Promise<unknown>>();
  /** Mirrors that this process has found or put in order. */
  const orderly = new Set<string>();

  async function exclusively<T>(id: string, work: () => Promise<T>): Promise<T> {
    const previous = queues.get(id) ?? Promise.resolve();
    const turn = previous.then(work, work);
    queues.set(id, turn);
    try {
      return await turn;
    } finally {
      if (queues.get(id) === turn) queues.delete(id);
    }
  }

  async function locked<T>(id: string, work: (mirror: Mirror) => Promise<T>, signal?: AbortSignal) {
    await mkdir(root, { recursive: true, mode: 0o700 });
    const path = join(root, `${id}.git`);
    const lock = await acquireLock(join(root, `${id}.lock`), {
      waitMs: 2 * options.fetchTimeoutMs,
      signal,
    });
    if (!lock) return 'busy' as const;
    try {
      if (lock.takenOver || !orderly.has(id)) {
        await endOrphans(path);
        await removeLocks(path);
        orderly.add(id);
      }
      const mirror = openMirror(path, options);
      if (!(await isRepository(path))) await mirror.recreate();
      const now = new Date();
      await utimes(path, now, now);
      return await work(mirror);
    } finally {
      await lock.release();
    }
  }

  async function prune(): Promise<void> {
    for (const name of await readdir(root).catch(() => [])) {
      const [, id] = /^(.*)\.git$/.exec(name) ?? [];
      const path = join(root, name);
      if (id === undefined || !(await isUnused(path))) continue;
      await exclusively(id, async () => {
        const lock = await acquireLock(join(root, `${id}.lock`), { waitMs: 0 });
        if (lock && (await isUnused(path))) await rm(path, { recursive: true, force: true });
        await lock?.release();
      });
    }
  }

  return { use: (id, work, signal) => exclusively(id, () => locked(id, work, signal)), prune };
}

async function isUnused(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > unusedFor;
}

function openMirror(path: string, options: MirrorsOptions): Mirror {
  const git = (args: readonly string[], more: Partial<GitRun> = {}) =>
    runGit([`--git-dir=${path}`, ...args], {
      cwd: path,
      environment: options.environment,
      timeoutMs: localTimeoutMs,
      ...more,
    });
  const refOf = (sha: string) => `${refPrefix}${sha}`;

  async function has(sha: string): Promise<boolean> {
    const found = await git(['rev-parse', '--verify', '--quiet', `${refOf(sha)}^{tree}`]);
    return found.exitCode === 0;
  }

  async function fetchOnce(
    wanted: WantedCommit,
    what: string,
    depth: number,
  ): Promise<GitFailure | undefined> {
    const result = await git(
      [
        'fetch',
        '--quiet',
        '--no-tags',
        '--no-write-fetch-head',
        '--no-auto-maintenance',
        '--no-recurse-submodules',
        `--depth=${depth}`,
        '--end-of-options',
        wanted.source.url,
        `+${what}:${what === wanted.sha ? refOf(wanted.sha) : `${refPrefix}tip`}`,
      ],
      { source: wanted.source, timeoutMs: options.fetchTimeoutMs, signal: wanted.signal },
    );
    if (result.exitCode === 0) return undefined;
    // Half of a pack stays behind, and a full disk would stay full.
    await removeLocks(path);
    return failureOf(result, options.fetchTimeoutMs);
  }

  async function fetch(wanted: WantedCommit): Promise<GitFailure | undefined> {
    if ((await countRefs(git)) >= maxCommits || (await isBloated(path, git))) await recreate();
    const failure = await fetchOnce(wanted, wanted.sha, 1);
    if (failure?.kind !== 'no-commit') return failure;
    const onRef = await fetchOnce(wanted, wanted.gitRef, fallbackDepth);
    if (onRef) return onRef;
    const kept = await git(['update-ref', refOf(wanted.sha), `${wanted.sha}^{commit}`]);
    return kept.exitCode === 0 ? undefined : failure;
  }

  async function recreate(): Promise<void> {
    await rm(path, { recursive: true, force: true });
    await mkdir(path, { recursive: true, mode: 0o700 });
    const made = await git(['init', '--quiet', '--bare', '--template=', '--initial-branch=none', path]);
    if (made.exitCode !== 0) throw new Error(failureOf(made, localTimeoutMs).reason);
  }

  return { path, has, fetch, recreate };
}

async function countRefs(git: (args: readonly string[]) => ReturnType<typeof runGit>): Promise<number> {
  const refs = await git(['for-each-ref', '--format=%(refname)', refPrefix]);
  return refs.exitCode === 0 ? refs.stdout.split('\n').length - 1 : 0;
}

/** Git counts the single objects, of which a mirror may have tens of thousands. */
async function isBloated(
  path: string,
  git: (args: readonly string[]) => ReturnType<typeof runGit>,
): Promise<boolean> {
  const counted = await git(['count-objects', '-v']);
  const kibibytes = [...counted.stdout.matchAll(/^size(?:-pack|-garbage)?: (\d+)$/gm)].map(([, size]) =>
    Number(size),
  );
  const total = kibibytes.reduce((sum, size) => sum + size, 0) * 1024;
  if (total <= most.spareBytes) return false;
  const packs = join(path, 'objects', 'pack');
  const sizes = (await readdir(packs).catch(() => [])).map(async (name) => {
    const found = await stat(join(packs, name)).catch(() => undefined);
    return found?.size ?? 0;
  });
  return total > most.timesLargest * Math.max(0, ...(await Promise.all(sizes))) + most.spareBytes;
}

async function isRepository(path: string): Promise<boolean> {
  const head = await readFile(join(path, 'HEAD'), 'utf8').catch(() => '');
  return head.startsWith('ref: ');
}

/**
 * Ends what a server that was killed has left running on the mirror: git leads a process group of
 * its own and goes on without us. Only where /proc tells.
 */
async function endOrphans(path: string): Promise<void> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (!words.split('\0').includes(`--git-dir=${path}`)) continue;
    try {
      process.kill(-Number(pid), 'SIGKILL');
    } catch (error) {
      // It ended by itself, or it leads no group, so that its leader ends it.
      if (messageOf(error).includes('EPERM')) throw error;
    }
  }
}

/** Lock files of a git that was killed; nobody else works here while we hold the mirror's lock. */
async function removeLocks(path: string): Promise<void> {
  const entries = await readdir(path, { recursive: true }).catch(() => []);
  for (const entry of entries) {
    if (/\.lock$|(^|\/)(?:tmp_|shallow_)[^/]*$/.test(entry))
      await rm(join(path, entry), { recursive: true, force: true });
  }
}
