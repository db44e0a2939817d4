import { expect, it } from 'vitest';
import { headline } from './headline.ts';

it.each([
  ["error: attribute 'x' missing\n\n       at ci.nix:1:2:\n", "attribute 'x' missing"],
  ['error:\n       … while evaluating a list\n\n       error: boom\n', 'boom'],
  ['There is no ci.nix.\nLooked for nix/ci.nix.', 'There is no ci.nix.'],
  ['', ''],
])('of %j is %j', (message, line) => {
  expect(headline(message)).toBe(line);
});
