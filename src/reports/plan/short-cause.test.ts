import { expect, it } from 'vitest';
import { saysMore, shortCause } from './short-cause.ts';

it.each([
  ["builder for '/nix/store/x.drv' failed with exit code 2", 'exit code 2'],
  ['builder failed with exit code 2', 'exit code 2'],
  ["builder for '/x.drv' failed with exit code 2;\nlast 1 log lines:\n> error: no", 'exit code 2'],
  ["error: builder for '/x.drv' failed due to signal 9 (Killed)", 'signal 9 (Killed)'],
  ["Cannot build '/x.drv'.\nReason: builder failed with exit code 3.\nOutput paths:\n  /x", 'exit code 3'],
  [
    "builder for '/x.drv' failed to produce output path for output 'out' at '/x'",
    'its output out was not made',
  ],
  [
    'No builder of this server builds for riscv64-linux.',
    'No builder of this server builds for riscv64-linux.',
  ],
  ['', ''],
])('of %j it says %j, and there is no more to it', (message, cause) => {
  expect(shortCause(message)).toBe(cause);
  expect(saysMore(message)).toBe(false);
});

it('leaves a message of many lines to be read', () => {
  const message = 'hash mismatch in fixed-output derivation:\n  specified: a\n  got: b';
  expect(saysMore(message)).toBe(true);
  expect(shortCause(message)).toBe('hash mismatch in fixed-output derivation:');
});
