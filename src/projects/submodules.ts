/**
 * Submodules: where they are fetched from, and their files in the folders that a checkout leaves empty
 * for them. What is fetched, and with what: docs/adr/0017.
 *
 * `.gitmodules` is anybody's text. Of it only an owner and a name are used, on the repository's own server.
 */
import { createHash } from 'node:crypto';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { type GitRun, runGit } from './git.ts';
import type { Mirror } from './mirror.ts';
import type { Submodule } from './survey.ts';
import type { GitSource, ReadAccess } from './types.ts';

/** A submodule of a repository, with what its `.gitmodules` says of it. */
export interface NamedSubmodule extends Submodule {
  readonly url: string | undefined;
}

/** Where a submodule is fetched from, and the mirror that keeps it. */
export interface SubmoduleSource {
  readonly source: GitSource;
  readonly mirror: string;
}

/** Looks up in the commit's `.gitmodules` where its submodules come from. */
export async function nameSubmodules(
  mirror: Mirror,
  sha: string,
  submodules: readonly Submodule[],
  run: GitRun,
): Promise<readonly NamedSubmodule[]> {
  if (submodules.length === 0) return [];
  const asked = [
    'config',
    `--blob=${sha}:.gitmodules`,
    '-z',
    '--get-regexp',
    String.raw`^submodule\..*\.(path|url)$`,
  ];
  // Without the file, or with one that git cannot read, none of them has an address.
  const { exitCode, stdout } = await runGit([`--git-dir=${mirror.path}`, ...asked], run);
  const said = new Map<string, string>();
  for (const entry of exitCode === 0 ? stdout.split('\0') : []) {
    const end = entry.indexOf('\n');
    if (end !== -1) said.set(entry.slice(0, end), entry.slice(end + 1));
  }
  const urls = new Map<string, string | undefined>();
  for (const [key, path] of said) {
    const name = /^submodule\.(.*)\.path$/s.exec(key)?.[1];
    if (name !== undefined) urls.set(path.replace(/\/$/, ''), said.get(`submodule.${name}.url`));
  }
  return submodules.map((submodule) => ({ ...submodule, url: urls.get(submodule.path) }));
}

export interface Surroundings {
  readonly projectId: number;
  /** The repository that is under CI. */
  readonly own: GitSource;
  /** Address of the repository that names the submodule. */
  readonly of: string;
  readonly access: ReadAccess | undefined;
}

/** Where a submodule is fetched from, or why it is not. */
export function sourceOf(submodule: NamedSubmodule, around: Surroundings): SubmoduleSource | string {
  if (submodule.url === undefined) return "'.gitmodules' does not say where it comes from";
  const repository = repositoryAt(submodule.url, around.of);
  if (repository === undefined) {
    const server = new URL(around.own.url).host;
    return `its address '${submodule.url.slice(0, 200)}' is none of a repository on ${server}, and no others are fetched`;
  }
  const url = `${new URL(around.own.url).origin}/${repository}.git`;
  if (sameRepository(url, around.own.url)) return { source: around.own, mirror: `${around.projectId}` };
  const shared = around.access?.repositories.some((name) => name.toLowerCase() === repository.toLowerCase());
  const credentials = shared ? around.access?.credentials : undefined;
  // What was fetched with permission is there only for those who still have it.
  const key = createHash('sha256')
    .update(`${shared ? 'shared' : 'public'} ${url.toLowerCase()}`)
    .digest('hex');
  return { source: { url, credentials }, mirror: `${around.projectId}-${key.slice(0, 32)}` };
}

/** `owner/name`, if the address means a repository on the server of `base`. */
function repositoryAt(address: string, base: string): string | undefined {
  const server = new URL(base);
  const scp = /^(?:[\w.-]+@)?([\w.-]+):(?!\/)(.*)$/.exec(address);
  const relativeOne = /^\.\.?\//.test(address);
  const url = relativeOne
    ? parsed(address, `${base.replace(/\/$/, '')}/`)
    : scp?.[1] && !/^[a-z+]+::/.test(address)
      ? parsed(`ssh://${scp[1]}/${scp[2]}`)
      : parsed(address);
  if (!url || !['https:', 'http:', 'ssh:', 'git:'].includes(url.protocol)) return undefined;
  // Other protocols have other ports.
  const same = /^http/.test(url.protocol) ? url.host === server.host : url.hostname === server.hostname;
  // Names of users that a company manages have a `_`.
  const path = /^\/([\w-]{1,100})\/((?!\.{1,2}$)[\w.-]{1,100})\/?$/.exec(url.pathname);
  if (!same || !path) return undefined;
  const name = path[2]?.replace(/\.git$/, '');
  return name ? `${path[1]}/${name}` : undefined;
}

function parsed(address: string, base?: string): URL | undefined {
  return URL.canParse(address, base) ? new URL(address, base) : undefined;
}

function sameRepository(one: string, other: string): boolean {
  const plain = (url: string) => url.toLowerCase().replace(/(\.git)?\/?$/, '');
  return plain(one) === plain(other);
}

/**
 * The folder that the checkout made for a submodule; undefined when there is anything else in its place.
 * A hostile tree may hold a link of the same name, which must not be written through.
 */
export async function folderFor(root: string, path: string): Promise<string | undefined> {
  const folder = join(root, path);
  try {
    const isOwn = relative(await realpath(root), await realpath(folder)) === path.split('/').join(sep);
    const isFolder = (await lstat(folder)).isDirectory();
    return isOwn && isFolder && (await readdir(folder)).length === 0 ? folder : undefined;
  } catch {
    return undefined;
  }
}
