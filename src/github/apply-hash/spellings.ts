/**
 * A hash as people write it into Nix files: SRI, `sha256:` and bare digits in base 16, 32 and 64. Only the
 * digits differ, so digits of one spelling are written in place of those of the same.
 */
import { nixBase32 } from '../../nix/index.ts';

const sizes: ReadonlyMap<string, number> = new Map([
  ['md5', 16],
  ['sha1', 20],
  ['sha256', 32],
  ['sha512', 64],
]);

export interface NixHash {
  readonly algorithm: string;
  readonly bytes: Buffer;
}

/** Reads a hash as Nix says it in its messages; undefined unless it is exactly one. */
export function parseNixHash(text: string): NixHash | undefined {
  const [, algorithm = '', separator, digits = ''] =
    /^([a-z0-9]{3,6})([:-])([A-Za-z0-9+/=]{16,128})$/.exec(text) ?? [];
  const size = sizes.get(algorithm);
  if (size === undefined) return undefined;
  const spelled = (bytes: Buffer) => (separator === '-' ? [base64(bytes)] : digitsOf(bytes)).includes(digits);
  const bytes = [Buffer.from(digits, 'hex'), Buffer.from(digits, 'base64'), fromBase32(digits, size)].find(
    (one) => one.length === size && spelled(one),
  );
  return bytes && { algorithm, bytes };
}

/** What to look for, and what to write in its place. */
export interface Spelling {
  readonly old: string;
  readonly new: string;
}

/** Undefined when one is no hash, or when they are of two kinds. */
export function spellingsOf(specified: string, got: string): readonly Spelling[] | undefined {
  const before = parseNixHash(specified);
  const after = parseNixHash(got);
  if (!before || !after || before.algorithm !== after.algorithm) return undefined;
  const written = digitsOf(after.bytes);
  const spellings = digitsOf(before.bytes).map((old, index) => ({ old, new: written[index] ?? '' }));
  if (before.algorithm !== 'sha256' || before.bytes.some((byte) => byte !== 0)) return spellings;
  // What nixpkgs has for hashes that are not known yet; both are expressions, not texts.
  const [hex = ''] = written;
  const quoted = { fakeHash: `"sha256-${base64(after.bytes)}"`, fakeSha256: `"${hex}"` };
  return [
    ...spellings,
    ...Object.entries(quoted).flatMap(([name, text]) => [
      { old: `pkgs.lib.${name}`, new: text },
      { old: `lib.${name}`, new: text },
    ]),
  ];
}

/** The digits in every base, always in this order. */
function digitsOf(bytes: Buffer): readonly string[] {
  return [bytes.toString('hex'), nixBase32(bytes), base64(bytes)];
}

const base64 = (bytes: Buffer) => bytes.toString('base64');

const alphabet = '0123456789abcdfghijklmnpqrsvwxyz';

/** Whatever comes of it: the caller writes it again and compares. */
function fromBase32(text: string, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  [...text].reverse().forEach((character, index) => {
    const value = Math.max(0, alphabet.indexOf(character)) << ((index * 5) & 7);
    const at = (index * 5) >> 3;
    if (at < size) bytes[at] = (bytes[at] ?? 0) | (value & 255);
    if (at + 1 < size) bytes[at + 1] = (bytes[at + 1] ?? 0) | (value >> 8);
  });
  return bytes;
}
