import { expect, test } from 'vitest';
import { collectNotices } from './notices.ts';

function noticesIn(text: string, limit = 1000): readonly string[] {
  const collector = collectNotices(limit);
  const found = text.split('\n').map((line) => collector.add(line));
  return [...found, collector.end()].filter((notice) => notice !== undefined);
}

test('traces and warnings of the code are notices, with all of their lines', () => {
  const text = `trace: first
its second line
\u001b[35;1mevaluation warning:\u001b[0m careful
                    and more
trace: last`;
  expect(noticesIn(text)).toEqual([
    'trace: first\nits second line',
    'evaluation warning: careful\n                    and more',
    'trace: last',
  ]);
});

test('a warning of Nix is a notice when it says which line it is about', () => {
  const text = `warning: the group 'nixbld' specified in 'build-users-group' does not exist
warning: relative path literal 'x/y' should be prefixed with './'
         at /checkout/ci.nix:3:5:
            2|
            3| x/y
             | ^
warning: unknown setting 'odd'`;
  const notices = noticesIn(text);
  expect(notices).toHaveLength(1);
  expect(notices[0]).toMatch(/^warning: relative path literal.*at \/checkout\/ci\.nix:3:5:/s);
});

test('errors and what Nix does meanwhile are no part of a notice', () => {
  const text = `trace: words
error: not a word of it
       at /checkout/ci.nix:1:1:
trace: others
building '/nix/store/00000000000000000000000000000000-x.drv'...
some output`;
  expect(noticesIn(text)).toEqual(['trace: words', 'trace: others']);
});

test('a notice without end is kept in part', () => {
  expect(noticesIn(`trace: a\n${'b\n'.repeat(10_000)}`, 100)[0]?.length).toBeLessThan(110);
});
