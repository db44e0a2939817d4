/**
 * Whether a path is what its content address makes of its name. Such paths need no signature, so
 * a wrong claim must not get into a store.
 */
import { createHash } from 'node:crypto';
import { storePath, textStorePath } from '../nix/index.ts';
import { fromNixBase32 } from './hashes.ts';

/** Bytes of a hash. */
const sizes = new Map([
  ['md5', 16],
  ['sha1', 20],
  ['sha256', 32],
  ['sha512', 64],
]);

/**
 * The path that a content address such as `fixed:r:sha256:…` or `text:sha256:…` stands for; undefined
 * for one that is not understood.
 */
export function pathOfContent(
  storeDir: string,
  name: string,
  contentAddress: string,
  references: readonly string[],
): string | undefined {
  const found = /^(text|fixed):(r:)?(\w+):([0-9a-z]+)$/.exec(contentAddress);
  const [, method, recursive = '', algorithm = '', encoded = ''] = found ?? [];
  const size = sizes.get(algorithm);
  const hash = size === undefined ? undefined : fromNixBase32(encoded, size)?.toString('hex');
  if (hash === undefined) return undefined;
  if (method === 'text') {
    return algorithm === 'sha256' && recursive === ''
      ? textStorePath(storeDir, name, hash, references)
      : undefined;
  }
  if (recursive === 'r:' && algorithm === 'sha256') {
    return storePath(storeDir, ['source', ...references.toSorted()].join(':'), hash, name);
  }
  if (references.length > 0) return undefined;
  const inner = createHash('sha256').update(`fixed:out:${recursive}${algorithm}:${hash}:`).digest('hex');
  return storePath(storeDir, 'output:out', inner, name);
}
