/**
 * Whether the output paths that derivations name are the right ones. Nix checks that when a derivation
 * is written to its store; one that is built without having been written could else make a path that is
 * somebody else's. The rules are those of Nix's `hashDerivationModulo`: an output path follows from all
 * that goes into the build, with inputs named by what they are made of, and downloads by their content.
 *
 * What is not sure is not said to be right: derivations whose paths are known only after the build,
 * hashes of kinds that are rare, and all that depends on those.
 */
import { createHash } from 'node:crypto';
import { formatDerivation } from './aterm.ts';
import { derivationName } from './derivation.ts';
import { storePath } from './store-path.ts';
import type { Derivation } from './types.ts';

export interface OutputPathsOptions {
  readonly storeDir: string;
  /** A derivation that another one depends on. May reject. */
  readonly read: (drvPath: string) => Promise<Derivation>;
}

export interface OutputPaths {
  /** Whether all output paths of a derivation, and of those it depends on, are right. */
  areRight(drvPath: string): Promise<boolean>;
}

/** Remembers what it has found: each derivation is looked at once. */
export function createOutputPaths({ storeDir, read }: OutputPathsOptions): OutputPaths {
  /** What a derivation is to those that depend on it; undefined when that is not sure. */
  const hashes = new Map<string, string | undefined>();

  /** From the bottom to the top, not recursive: chains can be longer than the stack. */
  async function look(top: string): Promise<void> {
    const open = new Map<string, Derivation>();
    const stack = [top];
    for (let drvPath = stack.at(-1); drvPath !== undefined; drvPath = stack.at(-1)) {
      const derivation = open.get(drvPath);
      if (hashes.has(drvPath)) stack.pop();
      else if (derivation) {
        stack.pop();
        open.delete(drvPath);
        hashes.set(drvPath, hashOf(storeDir, derivationName(drvPath), derivation, hashes));
      } else {
        const found = await read(drvPath);
        open.set(drvPath, found);
        for (const input of found.inputDerivations.keys()) {
          // A circle, which no store can hold.
          if (open.has(input)) hashes.set(input, undefined);
          if (!hashes.has(input)) stack.push(input);
        }
      }
    }
  }

  return {
    areRight: async (drvPath) => {
      if (!hashes.has(drvPath)) await look(drvPath);
      return hashes.get(drvPath) !== undefined;
    },
  };
}

/** Undefined when an output path is not the right one, or nobody can tell. */
function hashOf(
  storeDir: string,
  name: string,
  derivation: Derivation,
  hashes: ReadonlyMap<string, string | undefined>,
): string | undefined {
  const { outputs, environment } = derivation;
  const inputDerivations = inputsByHash(derivation, hashes);
  if (!inputDerivations || outputs.size === 0) return undefined;
  const named = [...outputs].every(
    ([output, { path }]) => path !== undefined && environment.get(output) === path,
  );
  if (!named) return undefined;
  const out = outputs.get('out');
  if (out?.hash !== undefined) return outputs.size === 1 ? hashOfFixed(storeDir, name, out) : undefined;
  if (
    [...outputs.values()].some(({ hash, hashAlgorithm }) => hash !== undefined || hashAlgorithm !== undefined)
  ) {
    return undefined;
  }
  const hash = sha256(
    formatDerivation({
      ...derivation,
      inputDerivations,
      outputs: new Map([...outputs.keys()].map((output) => [output, noPath])),
      environment: new Map([...environment].map(([key, value]) => [key, outputs.has(key) ? '' : value])),
    }),
  );
  for (const [output, { path }] of outputs) {
    const fullName = output === 'out' ? name : `${name}-${output}`;
    if (path !== storePath(storeDir, `output:${output}`, hash, fullName)) return undefined;
  }
  return sha256(formatDerivation({ ...derivation, inputDerivations }));
}

const noPath = { path: undefined, hashAlgorithm: undefined, hash: undefined };

function inputsByHash(
  { inputDerivations }: Derivation,
  hashes: ReadonlyMap<string, string | undefined>,
): ReadonlyMap<string, readonly string[]> | undefined {
  const byHash = new Map<string, Set<string>>();
  for (const [drvPath, names] of inputDerivations) {
    const hash = hashes.get(drvPath);
    if (hash === undefined) return undefined;
    byHash.set(hash, new Set([...(byHash.get(hash) ?? []), ...names]));
  }
  const sorted = [...byHash].sort(([one], [other]) => (one < other ? -1 : 1));
  return new Map(sorted.map(([hash, names]) => [hash, [...names].sort()]));
}

/** A download is what its content is, however it is fetched. */
function hashOfFixed(
  storeDir: string,
  name: string,
  {
    path,
    hashAlgorithm,
    hash,
  }: { path: string | undefined; hashAlgorithm: string | undefined; hash: string | undefined },
): string | undefined {
  if (!/^(r:)?(md5|sha1|sha256|sha512)$/.test(hashAlgorithm ?? '') || !/^[0-9a-f]+$/.test(hash ?? ''))
    return undefined;
  const content = `fixed:out:${hashAlgorithm}:${hash}:`;
  const right =
    hashAlgorithm === 'r:sha256'
      ? storePath(storeDir, 'source', hash ?? '', name)
      : storePath(storeDir, 'output:out', sha256(Buffer.from(content)), name);
  return path === right ? sha256(Buffer.from(`${content}${path}`)) : undefined;
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
