import { expect, test } from 'vitest';
import { failedLog } from '../../test/support/seed-jobs.ts';
import { findFailureLine } from './failure-line.ts';

const find = (...lines: readonly (string | Buffer)[]) =>
  findFailureLine(lines.map((line) => Buffer.from(line)));

test('a log leads to the first complaint of a compiler, colours or not', () => {
  const at = find(...failedLog) ?? 0;
  expect(String(failedLog[at])).toContain('implicit declaration of function');
});

test.each([
  'src/main.rs:3:5: error[E0425]: cannot find value',
  'error[E0425]: cannot find value `x` in this scope',
  "error: attribute 'x' missing",
  'AssertionError: 1 != 2',
  'E       assert 1 == 2',
  'FAILED tests/test_a.py::test_one - assert False',
  '--- FAIL: TestLease (0.00s)',
  'not ok 3 - renews',
  'Traceback (most recent call last):',
  "thread 'main' panicked at src/main.rs:2:5:",
  '/build/run.sh: line 3: cmake: command not found',
  'lease.c:(.text+0x1f): undefined reference to `lease_renew`',
  'make: *** [Makefile:31: all] Error 2',
])('finds %s', (line) => {
  expect(find('compiling', 'warning: unused variable', line, 'done')).toBe(2);
});

test.each([
  'cc -Werror -c error_handler.c',
  'compiling error.rs',
  'tests: 12 passed, 0 errors',
  'ERRORS: 0',
  'checking for strerror... yes',
  'installing fatal.h',
])('is not led astray by %s', (line) => {
  expect(find(line)).toBeUndefined();
});

test('what fails in the last phase goes before what configure tried out', () => {
  const lines = [
    'Running phase: configurePhase',
    'conftest.c:1:10: fatal error: none.h: No such file or directory',
    'Running phase: buildPhase',
    'cc -o a',
    'a.c:1:1: error: no',
  ];
  expect(find(...lines)).toBe(4);
  expect(find(...lines.slice(0, 4))).toBe(1);
});

test('a line of megabytes costs nothing', () => {
  expect(find(Buffer.alloc(5_000_000, 'error: '), 'error: here')).toBe(1);
});
