import { describe, expect, test } from 'vitest';
import { matchPaths, pathInSource, placesOf } from './match.ts';
import { mentionsIn } from './mentions.ts';

/** What a log is taken to speak of, as `path:line[:column] kind`. */
function read(log: string): readonly string[] {
  return mentionsIn(log.split('\n')).map(
    ({ path, line, column, kind }) => `${path}:${line}${column ? `:${column}` : ''} ${kind}`,
  );
}

describe('places in the words of', () => {
  test.each([
    [
      'gcc',
      `In file included from src/main.c:1:
src/util.h: In function 'twice':
src/util.h:7:12: warning: unused variable 'y' [-Wunused-variable]
/build/source/src/main.c:12:3: error: 'x' undeclared (first use in this function)
   12 |   x = 1;
/build/source/src/main.c:12:3: note: each undeclared identifier is reported only once
ld: src/main.c:40: undefined reference to 'launch'`,
      [
        'src/main.c:1 place',
        'src/util.h:7:12 warning',
        '/build/source/src/main.c:12:3 error',
        'src/main.c:40 error',
      ],
    ],
    [
      'rustc and its tests',
      `error[E0425]: cannot find value \`x\` in this scope
  --> src/main.rs:4:5
   |
4  |     x
   ::: src/other.rs:1:1
warning: unused import
 --> src/lib.rs:1:5
thread 'flies' panicked at tests/flight.rs:10:9:
thread 'flies' panicked at 'too heavy', src/old.rs:4:5`,
      [
        'src/main.rs:4:5 error',
        'src/lib.rs:1:5 warning',
        'tests/flight.rs:10:9 error',
        'src/old.rs:4:5 error',
      ],
    ],
    [
      'tsc and node',
      `src/app.ts(12,3): error TS2304: Cannot find name 'x'.
src/app.ts:12:3 - error TS2304: Cannot find name 'x'.
    at fly (/build/source/lib/fly.js:3:11)
    at node:internal/main:1:2`,
      ['src/app.ts:12:3 error', 'src/app.ts:12:3 error', '/build/source/lib/fly.js:3:11 place'],
    ],
    [
      'Python and pytest',
      `Traceback (most recent call last):
  File "/build/source/app/fly.py", line 12, in <module>
    fly()
  File "<string>", line 1, in f
ValueError: too heavy
E       assert 1 == 2
tests/test_fly.py:7: AssertionError`,
      ['/build/source/app/fly.py:12 error', 'tests/test_fly.py:7 error'],
    ],
    [
      'Go',
      `# example.org/fly
./main.go:5:2: undefined: x
--- FAIL: TestFly (0.00s)
    fly_test.go:10: got 1, want 2`,
      ['./main.go:5:2 error', 'fly_test.go:10 place'],
    ],
    [
      'GHC',
      `src/Main.hs:3:5: error: [GHC-88464]
    Variable not in scope: x
src/Main.hs:9:1-4: warning: [-Wunused-imports]`,
      ['src/Main.hs:3:5 error', 'src/Main.hs:9:1 warning'],
    ],
    [
      'shells and shellcheck',
      `In deploy.sh line 3:
echo $x
     ^-- SC2086 (info): Double quote
deploy.sh:3:6: warning: x is referenced but not assigned. [SC2154]
./build.sh: line 12: frobnicate: command not found`,
      ['deploy.sh:3 place', 'deploy.sh:3:6 warning', './build.sh:12 place'],
    ],
    [
      'make, Java and Nix',
      `make: *** [Makefile:12: all] Error 1
Makefile:14: *** missing separator.  Stop.
src/Fly.java:3: error: ';' expected
       at /nix/store/0123456789abcdfghijklmnpqrsvwxyz-source/ci.nix:3:4:`,
      [
        'Makefile:12 error',
        'Makefile:14 place',
        'src/Fly.java:3 error',
        '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-source/ci.nix:3:4 place',
      ],
    ],
  ])('%s', (_, log, wanted) => {
    expect(read(log)).toEqual(wanted);
  });

  test('nothing at all are few', () => {
    const log = `12:34:56 begun
listening on http://localhost:8080/ and 127.0.0.1:80
image: alpine:3
a: b
https://example.org/x.c:12:3 warning`;
    expect(read(log)).toEqual(['127.0.0.1:80 place']);
  });
});

test('the message is the line, with what says what is wrong', () => {
  const [rust, python] = mentionsIn([
    '\u001b[1;31merror\u001b[0m: no such value',
    '  --> src/main.rs:4:5',
    '  File "a.py", line 1, in f',
    '    boom()',
    'ValueError: too heavy',
  ]);
  expect(rust?.message).toBe('error: no such value\n--> src/main.rs:4:5');
  expect(python?.message).toBe('ValueError: too heavy\nFile "a.py", line 1, in f');
});

// A pattern that goes back and forth would not end within the test's time.
test('hostile logs take no time and break nothing', () => {
  for (const unit of [
    ':',
    '(',
    'a:1',
    'File "',
    ' at ',
    'x(1,1)',
    '../',
    '\u001b[',
    'a/',
    '"',
    '-->',
    '\u001b]',
  ]) {
    const line = unit.repeat(Math.ceil(1_000_000 / unit.length));
    mentionsIn([line, line]);
    const cut = mentionsIn(Array.from({ length: 500 }, () => line.slice(0, 2_000)));
    matchPaths(new Set(cut.map(({ path }) => path)), ['a', 'x']);
  }
});

test.each([
  ['/build/source/src/a.c', 'src/a.c'],
  ['/build/a.c', 'a.c'],
  ['/tmp/nix-build-x.drv-0/source/src/a.c', 'src/a.c'],
  ['/private/tmp/nix-build-x.drv-0/source/src/a.c', 'src/a.c'],
  ['/nix/store/0123456789abcdfghijklmnpqrsvwxyz-source/lib/a.nix', 'lib/a.nix'],
  ['./src/../src/a.c', 'src/a.c'],
  ['../../src/a.c', 'src/a.c'],
  ['/usr/include/stdio.h', undefined],
  ['/build/../etc/passwd', 'etc/passwd'],
  ['/build/', undefined],
  ['..', undefined],
])('%s is %s in the source', (path, inside) => {
  expect(pathInSource(path)).toBe(inside);
});

test('a file is named by its path or the end of it, if there is one alone', () => {
  const files = ['src/a.c', 'lib/src/a.c', 'lib/src/b.c', 'c.c', 'src/cc.c'];
  const named = (path: string) => matchPaths(new Set([path]), files).get(path);
  expect(named('/build/source/lib/src/a.c')).toBe('lib/src/a.c');
  expect(named('src/b.c')).toBe('lib/src/b.c');
  expect(named('c.c')).toBe('c.c');
  // Either could be meant.
  expect(named('src/a.c')).toBeUndefined();
  expect(named('d.c')).toBeUndefined();
});

test('ten places are shown, errors first, each once, and none behind the end of its file', () => {
  const log = [
    'a.c:1:1: warning: unused',
    'a.c:999:1: error: behind the end',
    ...Array.from({ length: 20 }, (_, line) => `a.c:${(line % 8) + 2}:1: error: ${line}`),
  ];
  const places = placesOf(mentionsIn(log), new Map([['a.c', 'src/a.c']]), new Map([['src/a.c', 30]]));
  expect(places.map(({ line, level }) => [line, level])).toEqual([
    ...[2, 3, 4, 5, 6, 7, 8, 9].map((line) => [line, 'failure']),
    [1, 'warning'],
  ]);
  const many = Array.from({ length: 20 }, (_, line) => `a.c:${line + 1}:1: error: no`);
  expect(placesOf(mentionsIn(many), new Map([['a.c', 'src/a.c']]), new Map([['src/a.c', 30]]))).toHaveLength(
    10,
  );
});
