/** SHA-256 hashes as Nix writes them. Inside the program they are base 16 without a prefix. */
import { nixBase32 } from '../nix/index.ts';

const alphabet = '0123456789abcdfghijklmnpqrsvwxyz';
const digits = new Map([...alphabet].map((character, value) => [character, value]));

/** `sha256:` and Nix's base 32, as in fingerprints and narinfo files. */
export function formatHash(base16: string): string {
  return `sha256:${nixBase32(Buffer.from(base16, 'hex'))}`;
}

/** A SHA-256 in any of Nix's spellings as base 16; undefined when it is something else. */
export function parseHash(text: string): string | undefined {
  if (text.startsWith('sha256-')) {
    const bytes = Buffer.from(text.slice(7), 'base64');
    return bytes.length === 32 && bytes.toString('base64') === text.slice(7)
      ? bytes.toString('hex')
      : undefined;
  }
  if (!text.startsWith('sha256:')) return undefined;
  const value = text.slice(7);
  if (/^[0-9a-f]{64}$/.test(value)) return value;
  return value.length === 52 ? fromNixBase32(value, 32)?.toString('hex') : undefined;
}

/** The bytes of a text in Nix's base 32; undefined unless they are exactly `size`. */
export function fromNixBase32(text: string, size: number): Buffer | undefined {
  if (text.length !== Math.ceil((size * 8) / 5)) return undefined;
  const bytes = Buffer.alloc(size);
  for (let index = 0; index < text.length; index++) {
    const digit = digits.get(text.charAt(text.length - 1 - index));
    if (digit === undefined) return undefined;
    const bit = index * 5;
    const at = bit >> 3;
    const shifted = digit << (bit & 7);
    bytes[at] = (bytes[at] ?? 0) | (shifted & 255);
    // What goes over the end must be zero, or two texts would mean the same bytes.
    if (at + 1 < size) bytes[at + 1] = (bytes[at + 1] ?? 0) | (shifted >> 8);
    else if (shifted >> 8 !== 0) return undefined;
  }
  return bytes;
}
