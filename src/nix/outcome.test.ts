import { describe, expect, test } from 'vitest';
import type { BuildStatus } from './daemon/index.ts';
import { plainMessage, statusOfError, statusOfReply } from './outcome.ts';
import type { RealiseStatus } from './types.ts';

/** Nix's own words, collected from the versions named. */
const replies: readonly (readonly [string, BuildStatus, string, RealiseStatus])[] = [
  ['2.8', 'permanent-failure', "builder for '/x.drv' failed with exit code 3", 'failed'],
  [
    '2.34',
    'permanent-failure',
    "Cannot build '/x.drv'.\nReason: builder failed with exit code 3.\nOutput paths:\n  /x",
    'failed',
  ],
  ['2.8', 'dependency-failed', "1 dependencies of derivation '/x.drv' failed to build", 'dependency-failed'],
  ['2.34', 'permanent-failure', "Cannot build '/x.drv'.\nReason: 1 dependency failed.", 'dependency-failed'],
  [
    '2.8',
    'output-rejected',
    "hash mismatch in fixed-output derivation '/x.drv':\n  got: y",
    'output-mismatch',
  ],
  [
    '2.34',
    'hash-mismatch',
    "hash mismatch in fixed-output derivation '/x.drv':\n  got: y",
    'output-mismatch',
  ],
  ['2.8', 'output-rejected', "builder for '/x.drv' failed to produce output path", 'failed'],
  [
    '2.34',
    'misc-failure',
    "Cannot build '/x.drv'.\nReason: required system or feature not available",
    'unsupported-system',
  ],
  [
    '2.8',
    'timed-out',
    "building of '/x.drv!out' from .drv file timed out after 2 seconds of silence",
    'silent-timeout',
  ],
  ['2.34', 'timed-out', 'timed out after 2 seconds', 'timed-out'],
  [
    '2.8',
    'transient-failure',
    "builder for '/x.drv' failed with exit code 1\nnote: build failure may have been caused by lack of free disk space",
    'out-of-disk',
  ],
  ['2.8', 'not-deterministic', "derivation '/x.drv' may not be deterministic", 'non-deterministic'],
  ['2.34', 'no-substituters', 'no substituter can build it', 'infrastructure'],
];

test.each(replies)('Nix %s: %s with %j means %s', (_, status, message, expected) => {
  expect(statusOfReply({ status, message })).toBe(expected);
});

test('A good result is good, whatever is said besides', () => {
  expect(statusOfReply({ status: 'built', message: 'No space left on device' })).toBe('built');
});

describe('an error for the operation as a whole', () => {
  test('tells an unsupported system from the rest, colours or not', () => {
    const message =
      "a '\u001b[35;1mriscv64-linux\u001b[0m' with features {} is required to build '/x.drv', but I am a 'x86_64-linux'";
    expect(statusOfError(message)).toBe('unsupported-system');
  });

  test('is the fault of the store when nothing else is known', () => {
    expect(statusOfError('something unheard of')).toBe('infrastructure');
  });
});

test("Nix's words are shown without colours, prefix and advice", () => {
  const message =
    "\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/x.drv\u001b[0m' failed with exit code 1;\n       For full logs, run 'nix log /x.drv'.";
  expect(plainMessage(message)).toBe("builder for '/x.drv' failed with exit code 1");
});
