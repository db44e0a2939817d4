/** How Nix names what is in a store: its base 32, and the paths of contents. */
import { createHash } from 'node:crypto';

/** Without e, o, t and u, so that no path spells a word by chance. */
const alphabet = '0123456789abcdfghijklmnpqrsvwxyz';

/** Nix's base 32: five bits a character, beginning with the highest of the last byte. */
export function nixBase32(bytes: Uint8Array): string {
  const length = Math.ceil((bytes.length * 8) / 5);
  let text = '';
  for (let index = length - 1; index >= 0; index--) {
    const bit = index * 5;
    const byte = bit >> 3;
    const pair = (bytes[byte] ?? 0) | ((bytes[byte + 1] ?? 0) << 8);
    text += alphabet[(pair >> (bit & 7)) & 31];
  }
  return text;
}

/** The first 20 bytes of a path's hash, the later ones folded in. */
function folded(hash: Buffer): Buffer {
  const short = Buffer.alloc(20);
  hash.forEach((byte, index) => {
    short[index % 20] = (short[index % 20] ?? 0) ^ byte;
  });
  return short;
}

/** `kind` and `hash` (base 16) are what the path is derived from, for example `source` and a NAR's. */
export function storePath(storeDir: string, kind: string, hash: string, name: string): string {
  const digest = createHash('sha256').update(`${kind}:sha256:${hash}:${storeDir}:${name}`).digest();
  return `${storeDir}/${nixBase32(folded(digest))}-${name}`;
}

/**
 * The path of a text such as a `.drv` file, which its name, content and references decide.
 * `contentHash`: SHA-256 of the content in base 16.
 */
export function textStorePath(
  storeDir: string,
  name: string,
  contentHash: string,
  references: readonly string[],
): string {
  const kind = ['text', ...[...new Set(references)].sort()].join(':');
  return storePath(storeDir, kind, contentHash, name);
}

/** The path of a source tree without references. `narHash`: SHA-256 of its NAR in base 16. */
export function sourceStorePath(storeDir: string, name: string, narHash: string): string {
  return storePath(storeDir, 'source', narHash, name);
}
