/**
 * What the files of a commit are called and say, asked of the mirror: nothing is checked out. Answers
 * are bounded in bytes and time, whatever the commit holds.
 *
 * A commit is named by its hash, so it never reads as an option; paths go behind `--` and are taken
 * literally.
 */
import { createHash } from 'node:crypto';
import type { RunResult } from '../basics/index.ts';
import { type GitFailure, type GitRun, localFailureOf, runGit } from './git.ts';

/** Where a string stands in a text file. */
export interface FoundString {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly string: string;
}

export interface CommitFile {
  readonly text: string;
  readonly executable: boolean;
}

export interface CommitFiles {
  /** The paths of all files; undefined when they are too many. */
  paths(): Promise<readonly string[] | undefined>;
  /** How many lines text files have; others are left out. */
  lineCounts(paths: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** All places of fixed strings in text files; undefined when they are too many. */
  search(strings: readonly string[]): Promise<readonly FoundString[] | undefined>;
  /** A text file; undefined when there is none of that name, or when it is too large or no UTF-8. */
  read(path: string): Promise<CommitFile | undefined>;
}

/** Git did not answer. */
export class GitUnanswered extends Error {
  readonly failure: GitFailure;

  constructor(failure: GitFailure) {
    super(failure.reason);
    this.failure = failure;
  }
}

/** Milliseconds for one question: a search reads every file, at some 50 MB a second. */
const timeoutMs = 60_000;
/** Bytes of an answer. The largest known repositories have paths of some 5 MB. */
const most = { paths: 16 * 1024 * 1024, found: 256 * 1024, file: 1024 * 1024 } as const;
/** Paths of one question: they are arguments of git. */
const mostAsked = 1_000;

/** Asks the mirror at `gitDir`, which must have the commit whole. Rejects with GitUnanswered. */
export function openCommitFiles(
  gitDir: string,
  sha: string,
  run: Pick<GitRun, 'environment' | 'signal'>,
): CommitFiles {
  async function git(args: readonly string[], maxOutputBytes: number): Promise<RunResult | 'too-much'> {
    const result = await runGit([`--git-dir=${gitDir}`, ...args], {
      ...run,
      cwd: gitDir,
      timeoutMs,
      maxOutputBytes,
      literalPaths: true,
    });
    if (result.endedBy === 'output-limit') return 'too-much';
    // 1 is what `grep` says when there is nothing.
    const answered = result.exitCode === 0 || (args[0] === 'grep' && result.exitCode === 1);
    if (!answered) throw new GitUnanswered(localFailureOf(result, timeoutMs));
    return result;
  }

  return {
    async paths() {
      const listed = await git(['ls-tree', '-r', '-z', '--name-only', '--full-tree', sha], most.paths);
      return listed === 'too-much' ? undefined : listed.stdout.split('\0').slice(0, -1);
    },

    async lineCounts(paths) {
      const asked = paths.filter(isInside).slice(0, mostAsked);
      // Without any git would count in all files.
      if (asked.length === 0) return new Map();
      const args = ['grep', '-I', '--count', '-z', '-e', '', sha, '--', ...asked];
      const counted = await git(args, most.found);
      if (counted === 'too-much') return new Map();
      const rows = [...counted.stdout.matchAll(/[0-9a-f]{40,64}:([^\0]*)\0(\d+)\n/g)];
      return new Map(rows.map(([, path = '', lines]) => [path, Number(lines)]));
    },

    async search(strings) {
      if (strings.length === 0) return [];
      // Only what was found is printed: lines can be endless.
      const options = ['-I', '--fixed-strings', '--line-number', '--only-matching', '-z'];
      const patterns = strings.flatMap((string) => ['-e', string]);
      const found = await git(['grep', ...options, ...patterns, sha, '--'], most.found);
      if (found === 'too-much') return undefined;
      const rows = found.stdout.matchAll(/[0-9a-f]{40,64}:([^\0]*)\0(\d+)\0([^\n]*)\n/g);
      return [...rows].map(([, path = '', line, string = '']) => ({ path, line: Number(line), string }));
    },

    async read(path) {
      if (!isInside(path)) return undefined;
      const listed = await git(['ls-tree', '-z', '--long', '--full-tree', sha, '--', path], most.found);
      const entry =
        listed !== 'too-much' && /^(100\d{3}) blob ([0-9a-f]+) +(\d+)\t(.*)\0$/s.exec(listed.stdout);
      if (!entry || entry[4] !== path || Number(entry[3]) > most.file) return undefined;
      const [, mode, id = ''] = entry;
      const content = await git(['cat-file', 'blob', id], most.file);
      // What is no UTF-8 came with other bytes in its place.
      if (content === 'too-much' || blobId(content.stdout, id.length) !== id) return undefined;
      return { text: content.stdout, executable: mode === '100755' };
    },
  };
}

/** Others are an error to git. */
function isInside(path: string): boolean {
  return path !== '' && !path.includes('\0') && !path.startsWith('/') && !path.split('/').includes('..');
}

/** Git's name of a file's content. */
function blobId(text: string, length: number): string {
  const bytes = Buffer.from(text, 'utf8');
  const algorithm = length === 40 ? 'sha1' : 'sha256';
  return createHash(algorithm).update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}
