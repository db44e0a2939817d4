/** What a `flake.lock` makes Nix fetch, looked at before Nix sees it: inputs are fetched while the flake is looked up, and not every version asks `allowed-uris` then. */
import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { isInside } from '../find-file.ts';
import { isMissingFile } from './flake-files.ts';

const locked = z.looseObject({
  type: z.string(),
  url: z.string().optional(),
  path: z.string().optional(),
  owner: z.string().optional(),
  repo: z.string().optional(),
  narHash: z.string().optional(),
});

const lockFile = z.object({
  version: z.number(),
  nodes: z.record(z.string(), z.looseObject({ locked: locked.optional() })),
});

type Locked = z.infer<typeof locked>;

/** Why the inputs of a flake must not be fetched, or undefined. Without a `flake.lock` nothing is. */
export async function findLockProblem(
  source: string,
  allowedUris: readonly string[],
): Promise<string | undefined> {
  let text: string | undefined;
  try {
    text = await readOwnFile(source, 'flake.lock');
  } catch (error) {
    if (isMissingFile(error)) return undefined;
    throw error;
  }
  const lock = text === undefined ? undefined : parseLock(text);
  if (lock === undefined) return `'flake.lock' cannot be read: it is not a lock file of Nix flakes.`;
  for (const [name, node] of Object.entries(lock.nodes)) {
    const problem = node.locked && problemOf(node.locked, allowedUris);
    if (problem !== undefined) return `The input '${name}' in 'flake.lock' ${problem}`;
  }
  return undefined;
}

/** Bytes of the longest lock file that is read; those of large configurations have some hundred kilobytes. */
const maxBytes = 16 * 1024 * 1024;

/**
 * A file of the repository. No jail is around this process, so a link that leads out of the repository is
 * not followed, nor is anything read that does not end, such as a device.
 */
async function readOwnFile(source: string, name: string): Promise<string | undefined> {
  const path = await realpath(join(source, name));
  const found = await stat(path);
  const readable = isInside(path, await realpath(source)) && found.isFile() && found.size <= maxBytes;
  return readable ? await readFile(path, 'utf8') : undefined;
}

function parseLock(text: string): z.infer<typeof lockFile> | undefined {
  try {
    return lockFile.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function problemOf(input: Locked, allowedUris: readonly string[]): string | undefined {
  if (input.type === 'path') {
    const relative = input.path !== undefined && !input.path.startsWith('/');
    return relative ? undefined : 'is a path outside the repository, so it is not read.';
  }
  const uri = uriOf(input);
  if (uri === undefined) return `has the type '${input.type}', which is not fetched here.`;
  if (input.narHash === undefined)
    return `is not locked: it has no narHash. Run 'nix flake lock' and commit the file.`;
  if (allowedUris.some((prefix) => uri.startsWith(prefix))) return undefined;
  return `is fetched from '${uri}', which evaluations may not do here.`;
}

/** As `allowed-uris` spells it. */
function uriOf({ type, url, owner, repo }: Locked): string | undefined {
  switch (type) {
    case 'github':
    case 'gitlab':
    case 'sourcehut':
      return `${type}:${owner}/${repo}`;
    case 'git':
      return url?.startsWith('git:') ? url : `git+${url}`;
    case 'tarball':
    case 'file':
      return url;
    default:
      return undefined;
  }
}
