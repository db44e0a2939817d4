/**
 * Commits on disk: fetched into the project's mirror, then written out as plain files, without
 * `.git`, into a directory of their own.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { identifySelf, isAlive, type Logger, messageOf } from '../basics/index.ts';
import { type CommitFiles, GitUnanswered, openCommitFiles } from './commit-files.ts';
import { failureOf, type GitFailure, runGit } from './git.ts';
import { createMirrors, type Mirror } from './mirror.ts';
import type {
  Checkout,
  CheckoutResult,
  Commit,
  CommitResult,
  NotHad,
  OpenGitAccess,
  Project,
} from './types.ts';

export interface CheckoutsOptions {
  /** Mirrors and checkouts live below it. */
  readonly dataDir: string;
  readonly openAccess: OpenGitAccess;
  /** Of this process; git gets PATH, proxies and certificates of it, nothing else. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** Milliseconds for one fetch. Default ten minutes. */
  readonly fetchTimeoutMs?: number;
}

export interface CheckoutRequest {
  readonly project: Project;
  readonly sha: string;
  /** Where the commit was seen, for example `refs/pull/7/head`. */
  readonly gitRef: string;
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
  /** Removes what processes that died have left. For the start, when this process has none yet. */
  clean(): Promise<void>;
}

/** Milliseconds for writing out a tree. */
const writeTimeoutMs = 5 * 60_000;

/** Checkouts below one data directory. */
export function createCheckouts(options: CheckoutsOptions): Checkouts {
  const root = join(options.dataDir, 'checkouts');
  const mirrors = createMirrors({ fetchTimeoutMs: 10 * 60_000, ...options });

  async function work<T extends Ready>(
    request: CheckoutRequest,
    step: (mirror: Mirror) => Promise<Attempt<T>>,
  ): Promise<T | NotHad> {
    if (!/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(request.sha)) {
      return { kind: 'failed', reason: `'${request.sha.slice(0, 80)}' is not a commit's hash.` };
    }
    try {
      const result = await mirrors.use(
        request.project.id,
        (mirror) => onMirror(mirror, request, options, step),
        request.signal,
      );
      return result === 'busy' ? { kind: 'later', reason: 'Another process works on this mirror.' } : result;
    } catch (error) {
      options.log.warn({ err: error, project: request.project.id }, 'a checkout failed');
      return { kind: 'later', reason: `The checkout failed: ${messageOf(error)}` };
    }
  }

  async function checkout(request: CheckoutRequest): Promise<CheckoutResult> {
    let directory: string | undefined;
    const result = await work(request, async (mirror) => {
      directory ??= await newDirectory(root);
      return writeOut(mirror, request, directory, options);
    });
    if (result.kind !== 'ready' && directory !== undefined) {
      await rm(directory, { recursive: true, force: true }).catch(() => {});
    }
    return result;
  }

  return {
    checkout,
    look: (request) => work(request, (mirror) => readCommit(mirror, request, options)),
    ask: (request, questions) =>
      work(request, async (mirror) => {
        const { environment } = options;
        const files = openCommitFiles(mirror.path, request.sha, { environment, signal: request.signal });
        try {
          return { kind: 'ready', value: await questions(files) };
        } catch (error) {
          if (error instanceof GitUnanswered) return localFailure(error.failure);
          throw error;
        }
      }),
    clean: () => removeLeftOvers(root),
  };
}

/** A fetch where needed, and the step. A mirror that turns out to be damaged is replaced once. */
async function onMirror<T extends Ready>(
  mirror: Mirror,
  request: CheckoutRequest,
  options: CheckoutsOptions,
  step: (mirror: Mirror) => Promise<Attempt<T>>,
): Promise<T | NotHad> {
  const attempt = async () => (await fetched(mirror, request, options)) ?? (await step(mirror));
  const first = await attempt();
  if (first.kind !== 'unknown') return first;
  options.log.warn(
    { project: request.project.id, reason: first.reason },
    'the mirror of a repository is damaged and made anew',
  );
  await mirror.recreate();
  const second = await attempt();
  if (second.kind !== 'unknown') return second;
  // Fresh from the server and still not to be written: that is the commit's own fault.
  return second.during === 'fetching'
    ? { kind: 'later', reason: `git: ${second.reason}` }
    : { kind: 'failed', reason: `git cannot check out the commit ${request.sha}: ${second.reason}` };
}

interface Ready {
  readonly kind: 'ready';
}

type Failed =
  | NotHad
  | { readonly kind: 'unknown'; readonly during: 'fetching' | 'writing'; readonly reason: string };

type Attempt<T> = T | Failed;

/** Makes sure that the mirror has the commit; undefined when it has. */
async function fetched(
  mirror: Mirror,
  request: CheckoutRequest,
  options: CheckoutsOptions,
): Promise<Failed | undefined> {
  if (await mirror.has(request.sha)) return undefined;
  const access = await options.openAccess(request.project);
  if (access.kind !== 'ready') return access;
  try {
    const failure = await mirror.fetch({
      source: access.source,
      sha: request.sha,
      gitRef: request.gitRef,
      signal: request.signal,
    });
    return failure && explain(failure, request);
  } finally {
    await access.close();
  }
}

function explain(failure: GitFailure, { project, sha }: CheckoutRequest): Failed {
  const repository = `${project.owner}/${project.name}`;
  if (failure.kind === 'no-commit') {
    const reason = `The commit ${sha} is not in ${repository} any more (${failure.reason}).`;
    return { kind: 'failed', reason };
  }
  if (failure.kind === 'refused') {
    return { kind: 'failed', reason: `${repository} cannot be read: ${failure.reason}.` };
  }
  if (failure.kind === 'later') {
    return { kind: 'later', reason: `${repository} could not be fetched: ${failure.reason}.` };
  }
  return { kind: 'unknown', during: 'fetching', reason: failure.reason };
}

async function writeOut(
  mirror: Mirror,
  request: CheckoutRequest,
  directory: string,
  options: CheckoutsOptions,
): Promise<Attempt<{ readonly kind: 'ready'; readonly checkout: Checkout }>> {
  const path = join(directory, 'source');
  const indexFile = join(directory, 'index');
  await rm(path, { recursive: true, force: true });
  await mkdir(path);
  const written = await runGit(
    [`--git-dir=${mirror.path}`, `--work-tree=${path}`, 'read-tree', '--reset', '-u', request.sha],
    { ...localRun(path, request, options), indexFile },
  );
  await rm(indexFile, { force: true });
  if (written.exitCode !== 0) return localFailure(failureOf(written, writeTimeoutMs));
  const about = await readCommit(mirror, request, options);
  if (about.kind !== 'ready') return about;
  const release = () => rm(directory, { recursive: true, force: true });
  return { kind: 'ready', checkout: { path, ...about.commit, release } };
}

async function readCommit(
  mirror: Mirror,
  request: CheckoutRequest,
  options: CheckoutsOptions,
): Promise<Attempt<{ readonly kind: 'ready'; readonly commit: Commit }>> {
  const format = '--format=%T%x00%s%x00%an';
  const shown = await runGit(
    [`--git-dir=${mirror.path}`, 'show', '--no-patch', '--no-color', format, request.sha],
    localRun(mirror.path, request, options),
  );
  if (shown.exitCode !== 0) return localFailure(failureOf(shown, writeTimeoutMs));
  const [tree = '', title = '', author = ''] = shown.stdout.split('\0');
  return { kind: 'ready', commit: { tree, title: oneLine(title), author: oneLine(author) } };
}

function localRun(cwd: string, { signal }: CheckoutRequest, { environment }: CheckoutsOptions) {
  return { cwd, environment, timeoutMs: writeTimeoutMs, signal };
}

function localFailure({ kind, reason }: GitFailure): Failed {
  return kind === 'later' ? { kind, reason } : { kind: 'unknown', during: 'writing', reason };
}

/** Text of a commit for pages and reports: no control characters, not endless. */
function oneLine(text: string): string {
  return text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 300);
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
