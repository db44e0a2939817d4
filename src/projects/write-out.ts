/** The files of a commit that its mirror has, in a folder; and what the commit says of itself. */
import { lstat, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Attempt, Failed } from './attempts.ts';
import { type GitFailure, localFailureOf, runGit } from './git.ts';
import type { Mirror } from './mirror.ts';
import { type NamedSubmodule, nameSubmodules } from './submodules.ts';
import { type SurveyLimits, surveyCommit } from './survey.ts';
import type { Commit } from './types.ts';

/** Milliseconds for writing out a tree. */
const writeTimeoutMs = 5 * 60_000;

/** Of a checkout, or what is left of it for a part. */
export type TreeLimits = Pick<SurveyLimits, 'bytes' | 'entries'>;

export interface WriteRequest {
  readonly sha: string;
  /** Absolute; made anew where it is not there, and otherwise empty. */
  readonly folder: string;
  /** A file that git may use meanwhile. */
  readonly indexFile: string;
  readonly limits: TreeLimits;
  readonly environment: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}

export interface Written {
  readonly kind: 'ready';
  readonly commit: Commit;
  readonly submodules: readonly NamedSubmodule[];
  readonly pointerFiles: readonly string[];
  /** What is left of the limits. */
  readonly left: TreeLimits;
}

/** Writes the files out, and nothing at all where there are too many or too large ones. */
export async function writeOut(mirror: Mirror, request: WriteRequest): Promise<Attempt<Written>> {
  const { sha, folder, indexFile } = request;
  const limits = { ...request.limits, rootBytes: Buffer.byteLength(folder) };
  const run = localRun(mirror.path, request);
  const [survey, about] = await Promise.all([
    surveyCommit(mirror.path, sha, run, limits),
    readCommit(mirror, request),
  ]);
  if ('failed' in survey) return localFailure(localFailureOf(survey.failed, writeTimeoutMs));
  if ('refused' in survey) {
    return { kind: 'failed', reason: `The commit ${sha} is not checked out: ${survey.refused}.` };
  }
  if (about.kind !== 'ready') return about;
  const submodules = await nameSubmodules(mirror, sha, survey.submodules, run);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  const inFolder = [`--git-dir=${mirror.path}`, `--work-tree=${folder}`];
  const here = { ...localRun(folder, request), indexFile };
  const written = await runGit([...inFolder, 'read-tree', '--reset', '-u', sha], here);
  const keptElsewhere = async () => {
    const listed = await runGit([...inFolder, 'ls-files', '-z', ':(attr:filter=lfs)'], here);
    return listed.exitCode === 0 ? listed.stdout.split('\0').slice(0, -1) : [];
  };
  const mayHave = written.exitCode === 0 && (await nameFilters(folder, survey.attributeFiles));
  const pointerFiles = mayHave ? await pointersAmong(folder, await keptElsewhere()) : [];
  await rm(indexFile, { force: true });
  if (written.exitCode !== 0) return unwritten(sha, localFailureOf(written, writeTimeoutMs));
  const left = { bytes: limits.bytes - survey.bytes, entries: limits.entries - survey.entries };
  return { kind: 'ready', commit: about.commit, submodules, pointerFiles, left };
}

/** What a commit is, without its files. */
export async function readCommit(
  mirror: Mirror,
  request: Pick<WriteRequest, 'sha' | 'environment' | 'signal'>,
): Promise<Attempt<{ readonly kind: 'ready'; readonly commit: Commit }>> {
  const format = '--format=%T%x00%s%x00%an';
  const shown = await runGit(
    // Not `show`: it compares all files first, also where nothing of that is printed.
    [`--git-dir=${mirror.path}`, 'log', '--max-count=1', '--no-color', format, request.sha],
    localRun(mirror.path, request),
  );
  if (shown.exitCode !== 0) return localFailure(localFailureOf(shown, writeTimeoutMs));
  const [tree = '', title = '', author = ''] = shown.stdout.split('\0');
  return { kind: 'ready', commit: { tree, title: oneLine(title), author: oneLine(author) } };
}

/** The failure of a git that talked to nobody. */
export function localFailure({ kind, reason }: GitFailure): Failed {
  return kind === 'later' ? { kind, reason } : { kind: 'unknown', during: 'writing', reason };
}

/** A path that git never writes, such as `..`, is the commit's fault, and no other mirror writes it. */
function unwritten(sha: string, failure: GitFailure): Failed {
  if (failure.kind !== 'unknown' || !failure.reason.includes("invalid path '")) return localFailure(failure);
  return { kind: 'failed', reason: `git cannot check out the commit ${sha}: ${failure.reason}` };
}

function localRun(cwd: string, { signal, environment }: Pick<WriteRequest, 'environment' | 'signal'>) {
  return { cwd, environment, timeoutMs: writeTimeoutMs, signal };
}

/** Text of a commit for pages and reports: no control characters, not endless. */
function oneLine(text: string): string {
  return text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 300);
}

/** Bytes: attribute files have a few lines, pointers three. */
const most = { attributes: 1024 * 1024, pointer: 1024, pointers: 1_000 };

/** Whether any of the files gives others to Git LFS. */
async function nameFilters(folder: string, attributeFiles: readonly string[]): Promise<boolean> {
  for (const name of attributeFiles) {
    const path = join(folder, name);
    const found = await lstat(path).catch(() => undefined);
    if (!found?.isFile() || found.size > most.attributes) continue;
    if ((await readFile(path, 'latin1')).includes('filter=lfs')) return true;
  }
  return false;
}

async function pointersAmong(folder: string, names: readonly string[]): Promise<readonly string[]> {
  const pointers: string[] = [];
  for (const name of names.slice(0, most.pointers)) {
    const path = join(folder, name);
    const found = await lstat(path).catch(() => undefined);
    if (found?.isFile() && found.size <= most.pointer && (await isPointer(path))) pointers.push(name);
  }
  return pointers;
}

async function isPointer(path: string): Promise<boolean> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return false;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(most.pointer), 0, most.pointer, 0);
    return buffer.subarray(0, bytesRead).toString('latin1').startsWith('version https://git-lfs.github.com/');
  } finally {
    await file.close();
  }
}
