import { expect, test } from 'vitest';
import { findErrorText, withMemoryLimit } from './error-text.ts';

test('the error is what begins behind the last trace, without what Nix says to people at a terminal', () => {
  const lines = [
    'trace: error: none',
    "error: attribute 'x' missing",
    '',
    "(use '--show-trace' to show more)",
  ];
  expect(findErrorText(lines)).toBe("error: attribute 'x' missing");
  expect(findErrorText(['warning: nothing'])).toBeUndefined();
});

test('what git said is told with the error that only has its exit code, on every version of Nix', () => {
  const said = [
    'ssh: connect to host example.org port 22: Connection refused',
    'fatal: Could not read from remote repository.',
    '',
    'Please make sure you have the correct access rights',
  ];
  const lines = said.slice(0, 2).map((line) => `       ${line}`);
  expect(findErrorText([...said, ...said, "error: program 'git' failed with exit code 128"])).toBe(
    ["error: program 'git' failed with exit code 128", ...lines].join('\n'),
  );
  const newer = ['error:', '       … while fetching', '', "       error: revspec 'git' not found"];
  expect(findErrorText([...said, ...newer])).toBe(
    ["error: revspec 'git' not found", ...lines, '', '       … while fetching'].join('\n'),
  );
});

test('what others said before an error is left out', () => {
  expect(findErrorText(['fatal: not about this', 'error: the reason'])).toBe('error: the reason');
});

test('want of memory names the limit, also in megabytes of blank lines', () => {
  const blank = ' \n'.repeat(1_000_000);
  expect(withMemoryLimit(`error:${blank}       error: out of memory`, 512)).toMatch(
    / error: out of memory \(an evaluator process may use 512 MB: evaluation\.memory\)$/,
  );
});
