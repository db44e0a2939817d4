/**
 * What a commit holds, looked at before it is written out: a few kilobytes of git objects can name more
 * files, longer paths and more bytes than any disk takes, by naming the same objects again and again.
 */

import type { RunResult } from '../basics/index.ts';
import type { GitRun } from './git.ts';
import { readGit } from './git.ts';

export interface Submodule {
  /** Of its folder, relative to the repository's root. */
  readonly path: string;
  /** The commit that belongs there. */
  readonly sha: string;
}

export interface Survey {
  readonly submodules: readonly Submodule[];
  /** Paths of the files that say how git writes others out. */
  readonly attributeFiles: readonly string[];
  /** Files and folders. */
  readonly entries: number;
  readonly bytes: number;
}

export interface SurveyLimits {
  /** Files and folders. */
  readonly entries: number;
  /** Of all files together. */
  readonly bytes: number;
  /** Of the absolute path below which the files are written. */
  readonly rootBytes: number;
}

/** Limits of Linux' file systems, in bytes. */
const longest = { name: 255, path: 4095 } as const;
/** What else is remembered of one commit. */
const mostRemembered = 1_000;

/** Why a commit is not written out. */
export interface SurveyRefusal {
  readonly refused: string;
}

/** Looks at the commit, or says why it must not be written out; git's own end where it failed. */
export async function surveyCommit(
  gitDir: string,
  sha: string,
  run: GitRun,
  limits: SurveyLimits,
): Promise<Survey | SurveyRefusal | { readonly failed: RunResult }> {
  const submodules: Submodule[] = [];
  const attributeFiles: string[] = [];
  let entries = 0;
  let bytes = 0;
  let refused: string | undefined;
  const take = (record: string) => {
    entries += 1;
    // Bytes, since names need not be UTF-8.
    const [, type, id = '', size = '', path = ''] = entryPattern.exec(record) ?? [];
    bytes += Number(size) || 0;
    refused ??= problemWith(path, entries, bytes, limits);
    if (type === 'commit' && submodules.length < mostRemembered)
      submodules.push({ path: utf8(path), sha: id });
    const isAttributes = type === 'blob' && (path === '.gitattributes' || path.endsWith('/.gitattributes'));
    if (isAttributes && attributeFiles.length < mostRemembered) attributeFiles.push(utf8(path));
    return refused === undefined;
  };
  const args = [`--git-dir=${gitDir}`, 'ls-tree', '-r', '-t', '-l', '-z', '--full-tree', sha];
  const result = await readGit(args, run, take);
  if (refused !== undefined) return { refused };
  if (result.exitCode !== 0) return { failed: result };
  return { submodules, attributeFiles, entries, bytes };
}

const entryPattern = /^\d+ (\w+) ([0-9a-f]+) +(-|\d+)\t(.*)$/s;

function problemWith(path: string, entries: number, bytes: number, limits: SurveyLimits): string | undefined {
  if (entries > limits.entries)
    return `it has more than ${limits.entries} files and folders, which is the limit`;
  if (bytes > limits.bytes) {
    return `its files have more than ${limits.bytes} bytes, which is the limit (evaluation.checkout_limit)`;
  }
  const name = path.slice(path.lastIndexOf('/') + 1);
  const tooLong = name.length > longest.name || limits.rootBytes + 1 + path.length > longest.path;
  if (tooLong) return `the path '${utf8(path.slice(0, 100))}…' is longer than a file system takes`;
  return undefined;
}

function utf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
