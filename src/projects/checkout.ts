/**
 * Commits on disk: fetched into the project's mirror, then written out as plain files, without
 * `.git`, into a directory of their own.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { identifySelf, isAlive, type Logger } from '../basics/index.ts';
import { createAttempts, type WantedFrom } from './attempts.ts';
import { type CommitFiles, GitUnanswered, openCommitFiles } from './commit-files.ts';
import { fetchSubmodules } from './fetch-submodules.ts';
import { createMirrors } from './mirror.ts';
import type {
  CheckoutResult,
  CommitResult,
  GitAccess,
  NotHad,
  OpenGitAccess,
  Project,
  ReadAccess,
} from './types.ts';
import { localFailure, readCommit, type Written, writeOut } from './write-out.ts';

export interface CheckoutsOptions {
  /** Mirrors and checkouts live below it. */
  readonly dataDir: string;
  readonly openAccess: OpenGitAccess;
  /** Of this process; git gets PATH, proxies and certificates of it, nothing else. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** Milliseconds for one fetch. Default ten minutes. */
  readonly fetchTimeoutMs?: number;
  /** Bytes that the files of a checkout may have together. Default 16 GiB. */
  readonly limitBytes?: number;
  /** Files and folders of a checkout. Default a million: the largest known repositories have half of that. */
  readonly limitEntries?: number;
}

export interface CheckoutRequest {
  readonly project: Project;
  readonly sha: string;
  /** Where the commit was seen, for example `refs/pull/7/head`. */
  readonly gitRef: string;
  /** Also fetches submodules, private ones with this access. Absent: their folders are empty. */
  readonly submodules?: { readonly access: ReadAccess | undefined };
  readonly signal?: AbortSignal;
}

export interface Checkouts {
  /** Puts a commit on disk. Never rejects; the caller releases what it gets. */
  checkout(request: CheckoutRequest): Promise<CheckoutResult>;
  /** Says what a commit is, without putting it on disk; fetches it where needed. Never rejects. */
  look(request: CheckoutRequest): Promise<CommitResult>;
  /**
   * Asks about a commit's files without putting them on disk; fetches it where needed. `questions` may
   * be asked anew when the mirror turns out to be damaged. Never rejects.
   */
  ask<T>(
    request: CheckoutRequest,
    questions: (files: CommitFiles) => Promise<T>,
  ): Promise<{ readonly kind: 'ready'; readonly value: T } | NotHad>;
  /**
   * Removes checkouts that processes have left which died, and mirrors that nobody used for a month. For
   * the start, and now and then.
   */
  clean(): Promise<void>;
}

/** For each file and folder git's index takes 200 bytes. */
const defaultLimits = { bytes: 16 * 1024 ** 3, entries: 1_000_000 } as const;

/** Checkouts below one data directory. */
export function createCheckouts(options: CheckoutsOptions): Checkouts {
  const { environment } = options;
  const limits = {
    bytes: options.limitBytes ?? defaultLimits.bytes,
    entries: options.limitEntries ?? defaultLimits.entries,
  };
  const root = join(options.dataDir, 'checkouts');
  const mirrors = createMirrors({ fetchTimeoutMs: 10 * 60_000, ...options });
  const onCommit = createAttempts(mirrors, options.log);
  const of = (request: CheckoutRequest) => ({ sha: request.sha, environment, signal: request.signal });

  async function checkout(request: CheckoutRequest): Promise<CheckoutResult> {
    let directory: string | undefined;
    const release = async () => {
      if (directory !== undefined) await rm(directory, { recursive: true, force: true });
    };
    const written = await onCommit(wanted(request, options), async (mirror) => {
      directory ??= await newDirectory(root);
      const indexFile = join(directory, 'index');
      return writeOut(mirror, { ...of(request), folder: join(directory, 'source'), indexFile, limits });
    });
    const completed =
      written.kind === 'ready' && directory !== undefined && request.submodules
        ? await complete(request, written, directory)
        : written;
    if (completed.kind !== 'ready' || directory === undefined || written.kind !== 'ready') {
      await release().catch(() => {});
      return completed.kind === 'ready' ? { kind: 'later', reason: 'No folder was made.' } : completed;
    }
    const submodules = request.submodules ? [] : written.submodules.map(({ path }) => path);
    const absent = { submodules, pointers: completed.pointerFiles };
    return {
      kind: 'ready',
      checkout: { path: join(directory, 'source'), absent, ...written.commit, release },
    };
  }

  async function complete(request: CheckoutRequest, written: Written, directory: string) {
    const { submodules, pointerFiles } = written;
    if (submodules.length === 0) return written;
    const opened = await options.openAccess(request.project);
    if (opened.kind !== 'ready') return opened;
    try {
      const more = await fetchSubmodules(onCommit, {
        project: request.project,
        own: opened.source,
        access: request.submodules?.access,
        root: join(directory, 'source'),
        submodules,
        limits: written.left,
        write: { indexFile: join(directory, 'index'), environment, signal: request.signal },
      });
      return more.kind === 'ready'
        ? { ...more, pointerFiles: [...pointerFiles, ...more.pointerFiles] }
        : more;
    } finally {
      await opened.close();
    }
  }

  return {
    checkout,
    look: (request) => onCommit(wanted(request, options), (mirror) => readCommit(mirror, of(request))),
    ask: (request, questions) =>
      onCommit(wanted(request, options), async (mirror) => {
        const files = openCommitFiles(mirror.path, request.sha, of(request));
        try {
          return { kind: 'ready', value: await questions(files) };
        } catch (error) {
          if (error instanceof GitUnanswered) return localFailure(error.failure);
          throw error;
        }
      }),
    async clean() {
      await removeLeftOvers(root);
      await mirrors.prune();
    },
  };
}

function wanted(
  { project, sha, gitRef, signal }: CheckoutRequest,
  { openAccess }: CheckoutsOptions,
): WantedFrom {
  return {
    mirror: `${project.id}`,
    repository: `${project.owner}/${project.name}`,
    sha,
    gitRef,
    signal,
    open: (): Promise<GitAccess> => openAccess(project),
  };
}

/** The name says whose it is, so that others can tell when it is left over. */
async function newDirectory(root: string): Promise<string> {
  const self = await identifySelf();
  const directory = join(root, `${self.pid}.${self.pidStarted}.${crypto.randomUUID()}`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return directory;
}

async function removeLeftOvers(root: string): Promise<void> {
  for (const name of await readdir(root).catch(() => [])) {
    const [, pid, pidStarted = ''] = /^([1-9]\d*)\.(\d*)\./.exec(name) ?? [];
    const alive = pid !== undefined && (await isAlive({ pid: Number(pid), pidStarted }));
    if (!alive) await rm(join(root, name), { recursive: true, force: true });
  }
}
