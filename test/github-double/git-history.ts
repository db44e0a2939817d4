/** Reading history: commits, what they changed, file contents, and test merges. */
import { runProcess, startProcess } from '../../src/basics/process.ts';
import { git, gitEnvironment, tryGit } from './git.ts';
import { isoTime } from './json.ts';

export interface CommitInfo {
  readonly sha: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly authorName: string;
  readonly authorEmail: string;
  /** ISO 8601. */
  readonly date: string;
  readonly message: string;
}

const format = '%H%x00%T%x00%P%x00%an%x00%ae%x00%cI%x00%B%x1e';

/** Commits reachable from `head` and not from `base`, oldest first, at most 2048 as GitHub. */
export async function listCommits(
  directory: string,
  head: string,
  base?: string,
): Promise<readonly CommitInfo[]> {
  const range = base === undefined ? ['-1', head] : ['--max-count=2048', head, `^${base}`];
  const text = await git(directory, ['log', '--reverse', `--format=${format}`, ...range]);
  return text.split('\x1e').flatMap((record) => {
    const [sha, tree, parents, authorName, authorEmail, date, message] = record
      .replace(/^\n/, '')
      .split('\0');
    if (!sha || !tree) return [];
    return {
      sha,
      tree,
      parents: (parents ?? '').split(' ').filter((parent) => parent !== ''),
      authorName: authorName ?? '',
      authorEmail: authorEmail ?? '',
      date: date ?? isoTime(0),
      message: (message ?? '').trimEnd(),
    };
  });
}

/** One commit that exists. */
export async function readCommit(directory: string, sha: string): Promise<CommitInfo> {
  const [commit] = await listCommits(directory, sha);
  if (!commit) throw new Error(`No commit ${sha} in ${directory}`);
  return commit;
}

export interface ChangedPaths {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly modified: readonly string[];
}

const diffOptions = ['-r', '-z', '--root', '-m', '--first-parent', '--no-renames', '--name-status'];

/** What changed between two commits. */
export async function changedBetween(directory: string, from: string, to: string): Promise<ChangedPaths> {
  const text = await git(directory, ['diff-tree', ...diffOptions, from, to]);
  return parseChanges(`${to}\0${text}`).get(to) ?? unchanged;
}

/** What each commit changed against its first parent; one process, however many commits. */
export async function changedPaths(
  directory: string,
  shas: readonly string[],
): Promise<ReadonlyMap<string, ChangedPaths>> {
  const text = await git(directory, ['diff-tree', '--stdin', ...diffOptions], `${shas.join('\n')}\n`);
  return parseChanges(text);
}

export const unchanged: ChangedPaths = { added: [], removed: [], modified: [] };

function noChanges(): { added: string[]; removed: string[]; modified: string[] } {
  return { added: [], removed: [], modified: [] };
}

function parseChanges(text: string): ReadonlyMap<string, ChangedPaths> {
  const all = new Map<string, ChangedPaths>();
  let current = noChanges();
  const fields = text.split('\0');
  for (let index = 0; index < fields.length; index++) {
    const field = fields[index] ?? '';
    if (field.length === 40) {
      current = noChanges();
      all.set(field, current);
    } else if (field !== '') {
      index += 1;
      const list = field === 'A' ? current.added : field === 'D' ? current.removed : current.modified;
      list.push(fields[index] ?? '');
    }
  }
  return all;
}

/** A file's bytes. */
export async function readBlob(directory: string, id: string): Promise<Buffer> {
  const child = startProcess('git', ['-C', directory, 'cat-file', 'blob', id], { env: gitEnvironment() });
  child.stdin.end();
  child.stderr.resume();
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Merges two commits into a new one, or `undefined` when they conflict. */
export async function mergeCommits(
  directory: string,
  base: string,
  head: string,
  message: string,
  time: number,
): Promise<string | undefined> {
  const merged = await tryGit(directory, ['merge-tree', '--write-tree', base, head]);
  if (merged.exitCode !== 0) return undefined;
  const tree = merged.stdout.split('\n')[0] ?? '';
  const date = `${Math.floor(time / 1000)} +0000`;
  const result = await runProcess(
    'git',
    ['-C', directory, 'commit-tree', tree, '-p', base, '-p', head, '-m', message],
    {
      env: gitEnvironment({
        GIT_AUTHOR_NAME: 'GitHub',
        GIT_AUTHOR_EMAIL: 'noreply@github.com',
        GIT_COMMITTER_NAME: 'GitHub',
        GIT_COMMITTER_EMAIL: 'noreply@github.com',
        GIT_AUTHOR_DATE: date,
        GIT_COMMITTER_DATE: date,
      }),
    },
  );
  if (result.exitCode !== 0) throw new Error(`git commit-tree: ${result.stderr.trim()}`);
  return result.stdout.trim();
}
