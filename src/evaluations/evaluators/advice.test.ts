import { expect, test } from 'vitest';
import { adviceOn } from './advice.ts';

const usual = { trusted: true, file: 'ci.nix', argumentMissing: false };
const uri = "error: access to URI 'http://a/b' is forbidden in restricted mode";

test.each([
  ["error: file 'nixpkgs' was not found in the Nix search path (add it using $NIX_PATH or -I)", /NIX_PATH/],
  ["error: access to absolute path '/etc/passwd' is forbidden in restricted mode", /files of its own commit/],
  [uri, /evaluation\.allowed_uris/],
  [
    "error: access to URI 'git+file://.?exportIgnore=1' is forbidden in restricted mode",
    /repository itself are \.\/\./,
  ],
  ["error: getting status of 'sub/nope.nix': No such file or directory", /git tracks/],
  ["error: path 'sub/nope.nix' does not exist", /git tracks/],
  ["error: opening file 'nope': No such file or directory", /git tracks/],
])('an error that comes from where evaluations run says what to do: %s', (message, help) => {
  expect(adviceOn(message, usual)).toMatch(help);
  expect(adviceOn(`${message}\n\n       … while evaluating\n       at ci.nix:1:1:`, usual)).toMatch(help);
});

test('code that nobody has approved is told that this is why', () => {
  const approved = /has approved/;
  expect(adviceOn(uri, { ...usual, trusted: false })).toMatch(approved);
  const build =
    "error: cannot build '/nix/store/x.drv' during evaluation because the option 'allow-import-from-derivation' is disabled";
  expect(adviceOn(build, { ...usual, trusted: false })).toMatch(approved);
});

test('a file that is called without what it needs is told what it is called with', () => {
  const message = "error: function 'anonymous lambda' called without required argument 'lib'";
  expect(adviceOn(message, usual)).toBeUndefined();
  expect(adviceOn(message, { ...usual, argumentMissing: true })).toMatch(/nothing but src.*'lib'/);
  expect(adviceOn(message, { ...usual, argumentMissing: true, file: 'default.nix' })).toMatch(/a ci\.nix/);
});

test('errors of the code are left to speak for themselves, also when they quote such words', () => {
  expect(adviceOn("error: attribute 'x' missing", usual)).toBeUndefined();
  expect(adviceOn("error: I said: file 'x' was not found in the Nix search path", usual)).toBeUndefined();
  expect(adviceOn("error: path '/etc/x' does not exist", usual)).toBeUndefined();
});
