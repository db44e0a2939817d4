/**
 * Commits on disk: fetched into the project's mirror, then written out as plain files, without
 * `.git`, into a directory of their own.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, messageOf } from '../basics/index.ts';
import { identifySelf, isAlive } from '../postgres/index.ts';
import { failureOf, type GitFailure, runGit } from './git.ts';
import { createMirrors, type Mirror } from './mirror.ts';
import type { Checkout, CheckoutResult, OpenGitAccess, Project } from './types.ts';

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
  /** Removes what processes that died have left. For the start, when this process has none yet. */
  clean(): Promise<void>;
}

/** Milliseconds for writing out a tree. */
const writeTimeoutMs = 5 * 60_000;

/** Checkouts below one data directory. */
export function createCheckouts(options: CheckoutsOptions): Checkouts {
  const root = join(options.dataDir, 'checkouts');
  const mirrors = createMirrors({ fetchTimeoutMs: 10 * 60_000, ...options });

  async function checkout(request: CheckoutRequest): Promise<CheckoutResult> {
    if (!/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(request.sha)) {
      return { kind: 'failed', reason: `'${request.sha.slice(0, 80)}' is not a commit's hash.` };
    }
    let directory: string | undefined;
    try {
      directory = await newDirectory(root);
      const place = directory;
      const result = await mirrors.use(
        request.project.id,
        (mirror) => fill(mirror, request, place, options),
        request.signal,
      );
      if (result === 'busy') {
        return await without(place, { kind: 'later', reason: 'Another process works on this mirror.' });
      }
      return result.kind === 'ready' ? result : await without(place, result);
    } catch (error) {
      options.log.warn({ err: error, project: request.project.id }, 'a checkout failed');
      const result: CheckoutResult = { kind: 'later', reason: `The checkout failed: ${messageOf(error)}` };
      return directory === undefined ? result : await without(directory, result);
    }
  }

  return { checkout, clean: () => removeLeftOvers(root) };
}

/** A fetch where needed, and the files. A mirror that turns out to be damaged is replaced once. */
async function fill(
  mirror: Mirror,
  request: CheckoutRequest,
  directory: string,
  options: CheckoutsOptions,
): Promise<CheckoutResult> {
  const first = await attempt(mirror, request, directory, options);
  if (first.kind !== 'unknown') return first;
  options.log.warn(
    { project: request.project.id, reason: first.reason },
    'the mirror of a repository is damaged and made anew',
  );
  await mirror.recreate();
  const second = await attempt(mirror, request, directory, options);
  if (second.kind !== 'unknown') return second;
  // Fresh from the server and still not to be written: that is the commit's own fault.
  return second.during === 'fetching'
    ? { kind: 'later', reason: `git: ${second.reason}` }
    : { kind: 'failed', reason: `git cannot check out the commit ${request.sha}: ${second.reason}` };
}

type Attempt =
  | CheckoutResult
  | { readonly kind: 'unknown'; readonly during: 'fetching' | 'writing'; readonly reason: string };

async function attempt(
  mirror: Mirror,
  request: CheckoutRequest,
  directory: string,
  options: CheckoutsOptions,
): Promise<Attempt> {
  if (!(await mirror.has(request.sha))) {
    const access = await options.openAccess(request.project);
    if (access.kind !== 'ready') return access;
    try {
      const failure = await mirror.fetch({
        source: access.source,
        sha: request.sha,
        gitRef: request.gitRef,
        signal: request.signal,
      });
      if (failure) return explain(failure, request);
    } finally {
      await access.close();
    }
  }
  return writeOut(mirror, request, directory, options);
}

function explain(failure: GitFailure, { project, sha }: CheckoutRequest): Attempt {
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
): Promise<Attempt> {
  const path = join(directory, 'source');
  const indexFile = join(directory, 'index');
  await rm(path, { recursive: true, force: true });
  await mkdir(path);
  const common = {
    cwd: path,
    environment: options.environment,
    timeoutMs: writeTimeoutMs,
    signal: request.signal,
  };
  const written = await runGit(
    [`--git-dir=${mirror.path}`, `--work-tree=${path}`, 'read-tree', '--reset', '-u', request.sha],
    { ...common, indexFile },
  );
  await rm(indexFile, { force: true });
  if (written.exitCode !== 0) return localFailure(failureOf(written, writeTimeoutMs));
  const shown = await runGit(
    [`--git-dir=${mirror.path}`, 'show', '--no-patch', '--no-color', '--format=%s%x00%an', request.sha],
    common,
  );
  if (shown.exitCode !== 0) return localFailure(failureOf(shown, writeTimeoutMs));
  const [title = '', author = ''] = shown.stdout.split('\0');
  const checkout: Checkout = {
    path,
    title: oneLine(title),
    author: oneLine(author),
    release: () => rm(directory, { recursive: true, force: true }),
  };
  return { kind: 'ready', checkout };
}

function localFailure({ kind, reason }: GitFailure): Attempt {
  return kind === 'later' ? { kind, reason } : { kind: 'unknown', during: 'writing', reason };
}

/** Text of a commit for pages and reports: no control characters, not endless. */
function oneLine(text: string): string {
  return text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 300);
}

async function without(directory: string, result: CheckoutResult): Promise<CheckoutResult> {
  await rm(directory, { recursive: true, force: true }).catch(() => {});
  return result;
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
