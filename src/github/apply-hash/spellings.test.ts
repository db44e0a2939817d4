import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseNixHash, spellingsOf } from './spellings.ts';

const hashOf = (text: string, algorithm = 'sha256') => createHash(algorithm).update(text).digest();
const sri = (bytes: Buffer, algorithm = 'sha256') => `${algorithm}-${bytes.toString('base64')}`;

// What `nix-hash --to-base32 --type sha256` says of the hash of an empty text.
const empty = {
  hex: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  base32: '0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73',
  sri: 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
};

test('a hash is read in every spelling that Nix has', () => {
  for (const text of [empty.sri, `sha256:${empty.hex}`, `sha256:${empty.base32}`]) {
    expect(parseNixHash(text)?.bytes.toString('hex')).toBe(empty.hex);
  }
  const sha512 = hashOf('x', 'sha512');
  expect(parseNixHash(sri(sha512, 'sha512'))?.bytes).toEqual(sha512);
});

test.each([
  '',
  'sha256',
  'sha256-',
  `sha256-${empty.base32}`,
  `${empty.sri}\n`,
  `sha256:${empty.hex.slice(2)}`,
  `sha256:${empty.base32.slice(1)}e`,
  empty.sri.replace('U=', 'V='),
  'sha3-AAAAAAAAAAAAAAAAAAAAAAAA',
  `sha256-${'"; rm -rf /'.repeat(4)}`,
])('%j is no hash', (text) => {
  expect(parseNixHash(text)).toBeUndefined();
});

test('digits are replaced by those of the same base, and never by those of another kind of hash', () => {
  const got = hashOf('new');
  expect(spellingsOf(empty.sri, sri(got))?.map(({ old }) => old)).toEqual([
    empty.hex,
    empty.base32,
    empty.sri.slice(7),
  ]);
  expect(spellingsOf(empty.sri, sri(hashOf('new', 'sha512'), 'sha512'))).toBeUndefined();
  expect(spellingsOf(empty.sri, 'whatever')).toBeUndefined();
});
