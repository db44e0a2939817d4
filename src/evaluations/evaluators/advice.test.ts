import { expect, test } from 'vitest';
import { adviceOn } from './advice.ts';

test.each([
  ["error: file 'nixpkgs' was not found in the Nix search path (add it using $NIX_PATH or -I)", /NIX_PATH/],
  ["error: access to absolute path '/etc/passwd' is forbidden in restricted mode", /files of its own commit/],
  ["error: access to URI 'http://a/b' is forbidden in restricted mode", /evaluation\.allowed_uris/],
  [
    "error:\n       … while calling\n\n       error: access to absolute path '/etc' is forbidden in restricted mode",
    /own commit/,
  ],
])('an error that comes from where evaluations run says what to do: %s', (message, help) => {
  expect(adviceOn(message)).toMatch(help);
});

test('errors of the code are left to speak for themselves, also when they quote such words', () => {
  expect(adviceOn("error: attribute 'x' missing")).toBeUndefined();
  expect(adviceOn("error: I said: file 'x' was not found in the Nix search path")).toBeUndefined();
});
