import { expect, test } from 'vitest';
import { hashMismatchOf } from './hash-mismatch.ts';

test.each([
  ['2.8', 'specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'got:    '],
  ['2.3', 'wanted: sha256:0000000000000000000000000000000000000000000000000000', 'got:    '],
])('the hashes are read from the words of Nix %s', (_, specified, got) => {
  const words = `hash mismatch in fixed-output derivation '/nix/store/x.drv':\n         ${specified}\n         ${got}sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=`;
  expect(hashMismatchOf(words)).toEqual({
    specified: specified.split(' ')[1],
    got: 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
  });
});

test('other words have no hashes', () => {
  expect(hashMismatchOf('got: this far')).toBeUndefined();
});
