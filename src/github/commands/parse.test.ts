import { describe, expect, test } from 'vitest';
import { matchesGlob, parseCommands } from './parse.ts';

const verbs = (body: string, word = '/ci') => parseCommands(body, word).map(({ command }) => command.verb);

describe('commands in a comment', () => {
  test('are lines of their own, several in one comment, in their order', () => {
    expect(
      verbs('Looks good.\r\n/ci rerun failed\r\n  /ci cancel  \n\nThanks, /ci help would be nice.'),
    ).toEqual(['rerun', 'cancel']);
  });

  test.each([
    ['a quotation', '> /ci approve'],
    ['a quotation in a quotation', ' > > /ci approve'],
    ['a fenced block', '```\n/ci approve\n```'],
    ['a fenced block with a language', '```sh\n/ci approve\n```'],
    ['a longer fence that holds a shorter one', '````\n```\n/ci approve\n```\n````'],
    ['tildes', '~~~\n/ci approve\n~~~'],
    ['a fence that never ends', '```\n/ci approve'],
    ['an indented block', '    /ci approve'],
    ['a tab', '\t/ci approve'],
    ['inline code', '`/ci approve`'],
    ['an HTML comment', '<!--\n/ci approve\n-->'],
    ['an HTML comment that begins behind words', 'see <!-- this\n/ci approve\n-->'],
    ['the middle of a line', 'please /ci approve'],
    ['a longer word', '/circle approve'],
    ['an empty comment', ''],
  ])('are not read from %s', (_, body) => {
    expect(verbs(body)).toEqual([]);
  });

  test('are read again after a block has ended', () => {
    expect(verbs('```\nx\n```\n/ci help\n<!-- a --> b\n/ci cancel')).toEqual(['help', 'cancel']);
  });

  test('take what belongs to them', () => {
    const parsed = parseCommands(
      '/ci run checks.*\n/ci rerun\n/ci rerun failed x86*\n/CI Approve ABCDEF0123\n/ci',
      '/ci',
    );
    expect(parsed.map(({ command }) => command)).toEqual([
      { verb: 'run', glob: 'checks.*' },
      { verb: 'rerun', scope: 'all', glob: undefined },
      { verb: 'rerun', scope: 'failed', glob: 'x86*' },
      { verb: 'approve', commit: 'abcdef0123' },
      { verb: 'help' },
    ]);
  });

  test.each(['/ci dance', '/ci cancel now', '/ci run a b', '/ci approve everything', '/ci run $(reboot)'])(
    'that make no sense are answered: %s',
    (line) => {
      expect(verbs(line)).toEqual(['unknown']);
    },
  );

  test('begin with the word that was configured, and no other', () => {
    expect(verbs('/ci help\n@ringmaster cancel', '@ringmaster')).toEqual(['cancel']);
  });

  test('beyond ten in one comment are left alone', () => {
    expect(verbs('/ci help\n'.repeat(50))).toHaveLength(10);
  });
});

test.each([
  ['checks.*.te?t', 'checks.x86_64-linux.test', true],
  ['checks.*.te?t', 'checks.x86_64-linux.tests', false],
  ['checks.*', 'checksXx86', false],
  ['*', '', true],
  ['', '', true],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-c-b', false],
  [`${'*a'.repeat(100)}b`, 'a'.repeat(10_000), false],
])('the pattern %s against %s', (glob, path, fits) => {
  expect(matchesGlob(glob, path)).toBe(fits);
});
