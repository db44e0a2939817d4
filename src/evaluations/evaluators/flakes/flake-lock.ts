/**
 * What a `flake.lock` makes Nix fetch, looked at before Nix sees it: inputs are fetched while the flake is
 * looked up, and not every version asks `allowed-uris` then. A file that does not hang together is refused
 * here too: some versions of Nix die of it.
 */
import { readFile, realpath, stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { z } from 'zod';
import { isInside } from '../find-file.ts';
import { isMissingFile } from './flake-files.ts';

const locked = z.looseObject({
  type: z.string(),
  url: z.string().optional(),
  path: z.string().optional(),
  host: z.string().optional(),
  owner: z.string().optional(),
  repo: z.string().optional(),
  narHash: z.string().optional(),
});

const node = z.looseObject({
  locked: locked.optional(),
  /** By name: a node, or the path of inputs from the root that it follows. */
  inputs: z.record(z.string(), z.union([z.string(), z.array(z.string())])).default({}),
  /** Of a relative path: the inputs from the root to the flake that names it. */
  parent: z.array(z.string()).optional(),
});

const lockFile = z.object({
  version: z.number(),
  root: z.string(),
  nodes: z.record(z.string(), node),
});

type Locked = z.infer<typeof locked>;
type LockFile = z.infer<typeof lockFile>;

/** What the fields mean in others is not known. */
const knownVersions = [5, 6, 7];

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
  if (!knownVersions.includes(lock.version)) {
    return `'flake.lock' has version ${lock.version}, which is not known here; ${knownVersions.join(', ')} are.`;
  }
  const missing = findMissing(lock);
  if (missing !== undefined)
    return `'flake.lock' is damaged: it refers to '${missing}', which it does not hold. Make it anew with 'nix flake lock' and commit it.`;
  for (const [name, { locked, parent }] of Object.entries(lock.nodes)) {
    const problem = locked && problemOf(locked, folderOf(lock, parent ?? []), allowedUris);
    if (problem !== undefined) return `The input '${name}' in 'flake.lock' ${problem}`;
  }
  return undefined;
}

function findMissing({ nodes, root }: LockFile): string | undefined {
  const named = Object.values(nodes).flatMap(({ inputs }) => Object.values(inputs));
  return [root, ...named.filter((input) => typeof input === 'string')].find(
    (name) => !Object.hasOwn(nodes, name),
  );
}

/** The folder of a flake in the repository, by its inputs from the root; undefined: it is fetched. */
function folderOf({ nodes, root }: LockFile, inputs: readonly string[]): string | undefined {
  let folder = '.';
  let name = root;
  for (const input of inputs) {
    const next = nodes[name]?.inputs[input];
    const flake = typeof next === 'string' ? nodes[next]?.locked : undefined;
    // Not as Nix writes it. Below the root no path can be more than refused.
    if (typeof next !== 'string' || flake === undefined) return '.';
    if (flake.type !== 'path') return undefined;
    folder = posix.join(folder, flake.path ?? '.');
    name = next;
  }
  return folder;
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

function parseLock(text: string): LockFile | undefined {
  try {
    return lockFile.safeParse(JSON.parse(text, refuseHidden)).data;
  } catch {
    return undefined;
  }
}

/** A node of this name is one to Nix, and would not be seen by us. */
function refuseHidden(key: string, value: unknown): unknown {
  if (key === '__proto__') throw new Error(key);
  return value;
}

/** `folder`: of the flake that names it; undefined where that one is fetched, which Nix lets nothing lead out of. */
function problemOf(
  input: Locked,
  folder: string | undefined,
  allowedUris: readonly string[],
): string | undefined {
  if (input.type === 'path') {
    const path = input.path ?? '/';
    const leadsOut = folder !== undefined && posix.join(folder, path).split('/').includes('..');
    const inside = !path.startsWith('/') && !leadsOut;
    return inside ? undefined : 'is a path outside the repository, so it is not read.';
  }
  const uri = uriOf(input);
  if (uri === undefined) return `has the type '${input.type}', which is not fetched here.`;
  if (input.narHash === undefined)
    return `is not locked: it has no narHash. Run 'nix flake lock' and commit the file.`;
  if (allowedUris.some((prefix) => uri.startsWith(prefix))) return undefined;
  return `is fetched from '${uri}', which evaluations may not do here.`;
}

const publicHosts = { github: 'github.com', gitlab: 'gitlab.com', sourcehut: 'git.sr.ht' } as const;

/** As `allowed-uris` spells it. */
function uriOf({ type, url, owner, repo, host }: Locked): string | undefined {
  switch (type) {
    case 'github':
    case 'gitlab':
    case 'sourcehut':
      // A server of one's own is not what the short name allows.
      if (host !== undefined && host !== publicHosts[type]) return `https://${host}/${owner}/${repo}`;
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
