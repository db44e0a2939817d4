/** Real git behind every repository: bare repositories, commits made without a checkout. */
import { mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunResult, runProcess } from '../../src/basics/process.ts';
import type { Repository } from './world.ts';

export const zeroSha = '0'.repeat(40);

/** A file's new content; `null` deletes it. */
export type FileChange =
  | string
  | Uint8Array
  | null
  | { readonly content: string | Uint8Array; readonly executable?: boolean; readonly symlink?: boolean };

export type Files = Readonly<Record<string, FileChange>>;

/** The environment of every git child: no configuration from outside, no questions. */
export function gitEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: '/nonexistent',
    LC_ALL: 'C.UTF-8',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    ...extra,
  };
}

/** Runs git in a repository, whatever comes of it. */
export function tryGit(
  directory: string,
  args: readonly string[],
  input?: string | Uint8Array,
): Promise<RunResult> {
  return runProcess('git', ['-C', directory, ...args], {
    env: gitEnvironment(),
    ...(input === undefined ? {} : { input }),
  });
}

/** Runs git in a repository and returns what it printed, without the last newline. */
export async function git(
  directory: string,
  args: readonly string[],
  input?: string | Uint8Array,
): Promise<string> {
  const result = await tryGit(directory, args, input);
  if (result.exitCode !== 0) throw new Error(`git ${args.join(' ')}: ${result.stderr.trim()}`);
  return result.stdout.replace(/\n$/, '');
}

/** Creates a bare repository; a fork borrows its parent's objects. */
export async function createBareRepository(
  directory: string,
  defaultBranch: string,
  parent?: string,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await git(directory, ['init', '--quiet', '--bare', `--initial-branch=${defaultBranch}`]);
  const settings = {
    // GitHub serves any commit it has, also those no ref shows any more.
    'uploadpack.allowAnySHA1InWant': 'true',
    'uploadpack.allowFilter': 'true',
    'http.receivepack': 'true',
    'receive.denyDeleteCurrent': 'ignore',
    'gc.auto': '0',
  };
  const lines = Object.entries(settings).map(([key, value]) => {
    const [section, name] = key.split('.');
    return `[${section}]\n\t${name} = ${value}\n`;
  });
  const config = join(directory, 'config');
  await writeFile(config, (await readFile(config, 'utf8')) + lines.join(''));
  if (parent === undefined) return;
  await writeFile(join(directory, 'objects/info/alternates'), `${join(parent, 'objects')}\n`);
  await git(directory, ['fetch', '--quiet', parent, 'refs/heads/*:refs/heads/*', 'refs/tags/*:refs/tags/*']);
}

export interface NewCommit {
  readonly branch: string;
  readonly files: Files;
  readonly message: string;
  readonly author: { readonly name: string; readonly email: string };
  readonly time: number;
  /** The commit to stand on: a sha, or `null` for a root commit. */
  readonly parent: string | null;
  /** Files not named are removed. */
  readonly replace?: boolean;
  /** The branch may lose commits. */
  readonly force?: boolean;
}

/** Writes a commit with `git fast-import`: one process, however many files. */
export async function writeCommit(directory: string, commit: NewCommit): Promise<string> {
  const parts: (string | Uint8Array)[] = [];
  const data = (content: string | Uint8Array) => {
    const bytes = Buffer.from(content);
    parts.push(`data ${bytes.length}\n`, bytes, '\n');
  };
  const stamp = `${commit.author.name} <${commit.author.email}> ${Math.floor(commit.time / 1000)} +0000`;
  parts.push(`commit refs/heads/${commit.branch}\nmark :1\nauthor ${stamp}\ncommitter ${stamp}\n`);
  data(commit.message);
  if (commit.parent !== null) parts.push(`from ${commit.parent}\n`);
  if (commit.replace === true) parts.push('deleteall\n');
  for (const [path, change] of Object.entries(commit.files)) {
    if (change === null) {
      parts.push(`D ${quotePath(path)}\n`);
      continue;
    }
    const file = typeof change === 'string' || change instanceof Uint8Array ? { content: change } : change;
    parts.push(`M ${fileMode(file)} inline ${quotePath(path)}\n`);
    data(file.content);
  }
  parts.push('get-mark :1\ndone\n');
  const args = ['fast-import', '--quiet', '--done', ...(commit.force === true ? ['--force'] : [])];
  return git(directory, args, Buffer.concat(parts.map((part) => Buffer.from(part))));
}

function fileMode(file: { readonly executable?: boolean; readonly symlink?: boolean }): string {
  if (file.symlink === true) return '120000';
  return file.executable === true ? '100755' : '100644';
}

function quotePath(path: string): string {
  return `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

/** All files below a directory, without `.git`. */
export async function readDirectory(directory: string): Promise<Files> {
  const files: Record<string, FileChange> = {};
  const walk = async (relative: string): Promise<void> => {
    for (const entry of await readdir(join(directory, relative), { withFileTypes: true })) {
      if (entry.name === '.git') continue;
      const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
      const whole = join(directory, path);
      if (entry.isDirectory()) await walk(path);
      else if (entry.isSymbolicLink()) files[path] = { content: await readlink(whole), symlink: true };
      else if (entry.isFile()) {
        const executable = ((await stat(whole)).mode & 0o100) !== 0;
        files[path] = { content: await readFile(whole), executable };
      }
    }
  };
  await walk('');
  return files;
}

/** The commit a ref, branch, tag or sha means. */
export async function resolveCommit(repository: Repository, ref: string): Promise<string | undefined> {
  const candidates = /^[0-9a-f]{40}$/.test(ref)
    ? [ref]
    : [
        `refs/heads/${ref}`,
        `refs/tags/${ref}`,
        `refs/${ref}`,
        ...(/^[0-9a-f]{7,39}$/.test(ref) ? [ref] : []),
      ];
  for (const candidate of candidates) {
    if (repository.knownCommits.has(candidate)) return candidate;
    const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${candidate}^{commit}`];
    const found = await tryGit(repository.directory, args);
    if (found.exitCode !== 0) continue;
    const sha = found.stdout.trim();
    repository.knownCommits.add(sha);
    return sha;
  }
  return undefined;
}

/** Branches, tags and pull request heads with what they point at. */
export async function listRefs(directory: string): Promise<Map<string, string>> {
  const text = await git(directory, ['for-each-ref', '--format=%(refname) %(objectname)']);
  const refs = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [name, sha] = line.split(' ');
    if (name && sha) refs.set(name, sha);
  }
  return refs;
}
