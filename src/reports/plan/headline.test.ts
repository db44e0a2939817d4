import { expect, it } from 'vitest';
import { headline } from './headline.ts';

it.each([
  ["error: attribute 'x' missing\n\n       at ci.nix:1:2:\n", "attribute 'x' missing"],
  ["error: a\n       error: b\n\n       … while evaluating the attribute 'c'", 'a'],
  ['error:\n       … while evaluating a list\n\n       error: boom\n', 'boom'],
  [
    'error:\n       Failed assertions:\n       - There is no root file system.\n       - Another.\n\n       … from call site',
    'Failed assertions: There is no root file system.',
  ],
  ['error: it ends so:\n\n       at ci.nix:1:2:\n', 'it ends so:'],
  [
    "error: evaluation aborted with the following error message: 'lib: too old'\n\n       … x",
    'lib: too old',
  ],
  [
    "error: evaluation aborted with the following error message: 'lib\n       is too old'\n\n       … x",
    'lib',
  ],
  ["error: evaluation aborted with the following error message: '\n       lib'\n\n       … x", "lib'"],
  ['There is no ci.nix.\nLooked for nix/ci.nix.', 'There is no ci.nix.'],
  ['', ''],
])('of %j is %j', (message, line) => {
  expect(headline(message)).toBe(line);
});
