import { expect, test } from 'vitest';
import { isLastingError } from './reuse-errors.ts';

test.each([
  "error: attribute 'x' missing\n\n       at ci.nix:1:2:\n",
  "error:\n       … while evaluating the attribute 'a'\n\n       error: undefined variable 'pkgs'\n       at ci.nix:3:4:",
  'error: syntax error, unexpected end of file\n\n       at ci.nix:1:7:',
  'error: value is a string while a set was expected',
  "error: anonymous function at ci.nix:1:1 called without required argument 'src'",
  "error: 'ci.nix' must evaluate to an attribute set, but it evaluates to a list",
])('what the code itself does wrong comes again: %j', (message) => {
  expect(isLastingError(message)).toBe(true);
});

test.each([
  "error: unable to download 'https://example.org/x': Could not resolve host",
  'error: out of memory (an evaluator process may use 100 MB)',
  "error: builder for '/nix/store/aaa-x.drv' failed with exit code 1",
  'error: evaluating this attribute took longer than 1 seconds without any progress, so it was given up',
  'The evaluation took longer than 3600 seconds and was ended.',
  'error: stack overflow (possible infinite recursion)',
  'error: whatever somebody throws',
  "error: attribute 'x' missing\nerror: cannot connect to socket",
  '',
])('what is not known to come again is not believed to: %j', (message) => {
  expect(isLastingError(message)).toBe(false);
});
