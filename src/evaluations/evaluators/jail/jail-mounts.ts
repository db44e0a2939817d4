/** Which of the machine's files the programs in a jail need: themselves, what they are linked to, what they call. */
import { realpathSync } from 'node:fs';
import { lstat, readlink, realpath } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';

export type Mount =
  | { readonly kind: 'read-only' | 'writable'; readonly from: string; readonly at: string }
  | { readonly kind: 'link'; readonly target: string; readonly at: string };

export function readOnly(from: string, at = from): Mount {
  return { kind: 'read-only', from, at };
}

export function mountArguments(mounts: readonly Mount[]): readonly string[] {
  return mounts.flatMap((mount) => {
    if (mount.kind === 'link') return ['--symlink', mount.target, mount.at];
    return [mount.kind === 'writable' ? '--bind' : '--ro-bind', mount.from, mount.at];
  });
}

/** Folders of the system that hold programs and nothing of anybody's own. */
const systemFolders = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/** How programs of the system find their libraries and each other. */
const systemFiles = ['/etc/ld.so.cache', '/etc/alternatives'];

/** What is in every jail. */
export async function systemMounts(): Promise<readonly Mount[]> {
  const mounts: Mount[] = [];
  for (const at of systemFolders) {
    const found = await lstat(at).catch(() => undefined);
    if (found?.isSymbolicLink()) mounts.push({ kind: 'link', target: await readlink(at), at });
    else if (found?.isDirectory()) mounts.push(readOnly(at));
  }
  return [...mounts, ...existing(systemFiles)];
}

/** Read-only mounts for those paths that exist. A link is followed: what it leads to stands in its place. */
export function existing(paths: readonly string[]): readonly Mount[] {
  return paths.flatMap((at) => {
    const from = realPathNow(at);
    return from === undefined ? [] : [readOnly(from, at)];
  });
}

function realPathNow(path: string): string | undefined {
  try {
    return realpathSync.native(path);
  } catch {
    return undefined;
  }
}

export interface ProgramFiles {
  readonly mounts: readonly Mount[];
  /** The search path as it is inside. */
  readonly path: string;
}

/** Beside a folder `bin`, what the programs in it are made of. Not `share` and `etc`: they may be anybody's. */
const besideBin = ['lib', 'lib64', 'libexec'];

/**
 * Folders for programs that are installed somewhere else: in a prefix, in the Nix store. `path` is the
 * search path, since evaluators call git and others; what of it lies in the user's home stays outside.
 */
export async function programMounts(
  programs: readonly string[],
  path: string,
  more: readonly string[],
): Promise<ProgramFiles> {
  const home = userInfo().homedir;
  const places: string[] = [];
  const addFolder = async (folder: string) => {
    places.push(folder);
    if (basename(folder) !== 'bin') return;
    for (const name of besideBin) places.push(...(await real(join(dirname(folder), name))));
  };
  for (const program of programs) {
    // A program that lies just anywhere is taken alone: who knows what lies beside it.
    const [folder = dirname(program)] = await real(dirname(program));
    if (basename(folder) === 'bin') await addFolder(folder);
    else places.push(join(folder, basename(program)), ...(await real(program)));
  }
  for (const place of more) for (const found of await real(place)) await addFolder(found);
  const searched: string[] = [];
  for (const entry of path.split(delimiter)) {
    const [folder] = entry.startsWith('/') ? await real(entry) : [];
    if (folder === undefined || folder === '/' || searched.includes(folder)) continue;
    searched.push(folder);
    if (home === '/' || !isBelow(folder, [home])) await addFolder(folder);
  }
  // The Nix store is one folder for this: everything in it may refer to everything else.
  const folders = places.map((place) => (isBelow(place, ['/nix/store']) ? '/nix/store' : place));
  const mounted = folders.filter(
    (place, index) => !isBelow(place, [...systemFolders, ...folders.slice(0, index)]),
  );
  return {
    mounts: mounted.map((place) => readOnly(place)),
    path: searched.filter((folder) => isBelow(folder, [...systemFolders, ...mounted])).join(delimiter),
  };
}

/** The path without links, if it exists. */
async function real(path: string): Promise<readonly string[]> {
  return realpath(path).then(
    (found) => [found],
    () => [],
  );
}

/** A program's path without links in its folder; its own name stays, since Nix goes by it. */
export function nameInJail(program: string): string {
  return join(realPathNow(dirname(program)) ?? dirname(program), basename(program));
}

function isBelow(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path === folder || path.startsWith(`${folder}/`));
}
