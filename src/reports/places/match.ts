/** From what a log calls a file to the file of the commit. Of two that may be meant neither is. */
import { posix } from 'node:path';
import type { Mention } from './mentions.ts';

/** A mention whose file is known. */
export type Place = Omit<Mention, 'kind'> & { readonly level: 'failure' | 'warning' };

/** Places that one build's log is worth. */
export const mostPlaces = 10;

const sandboxes = [
  // `src = ./.` is unpacked into a folder of the build directory.
  /^\/build\/(?:[^/]+\/)?/,
  /^(?:\/private)?\/tmp\/nix-build-[^/]+\/(?:[^/]+\/)?/,
  // Read where it lies; the name's first part is a hash of 32 characters.
  /^\/nix\/store\/[0-9a-z]{32}-[^/]+\//,
];

/** The path without what only the sandbox knows; undefined for files outside of it. */
export function pathInSource(path: string): string | undefined {
  const sandbox = sandboxes.find((pattern) => pattern.test(path));
  const rest = posix.normalize(sandbox ? path.replace(sandbox, '') : path).replace(/^(?:\.\.\/)+/, '');
  return rest.startsWith('/') || rest === '.' || rest === '..' || rest.endsWith('/') ? undefined : rest;
}

/** For each path of a log the one file of the commit that has this name, or ends with it. */
export function matchPaths(
  paths: ReadonlySet<string>,
  files: readonly string[],
): ReadonlyMap<string, string> {
  const wanted = new Map<string, string[]>();
  for (const path of paths) {
    const inside = pathInSource(path);
    if (inside !== undefined) wanted.set(posix.basename(inside), []);
  }
  for (const file of files) wanted.get(posix.basename(file))?.push(file);
  const found = new Map<string, string>();
  for (const path of paths) {
    const inside = pathInSource(path);
    if (inside === undefined) continue;
    const named = wanted.get(posix.basename(inside)) ?? [];
    const [only, ...others] = named.filter((file) => file === inside || file.endsWith(`/${inside}`));
    if (only !== undefined && others.length === 0) found.set(path, only);
  }
  return found;
}

/** What is shown of the mentions: errors first, each line once, lines that the file does not have never. */
export function placesOf(
  mentions: readonly Mention[],
  files: ReadonlyMap<string, string>,
  lineCounts: ReadonlyMap<string, number>,
): readonly Place[] {
  const places = new Map<string, Place>();
  for (const kind of ['error', 'place', 'warning'] as const) {
    for (const { kind: own, ...mention } of mentions) {
      const path = files.get(mention.path);
      if (own !== kind || path === undefined || mention.line > (lineCounts.get(path) ?? 0)) continue;
      const key = `${path}\0${mention.line}`;
      if (places.has(key)) continue;
      places.set(key, { ...mention, path, level: kind === 'warning' ? 'warning' : 'failure' });
      if (places.size === mostPlaces) return [...places.values()];
    }
  }
  return [...places.values()];
}
