/** What git says and what workers say, as they come through one pipe. */
import { expect, test } from 'vitest';
import { collectGitWords } from './git-words.ts';

const refused = (name: string) => `fatal: unable to access 'https://git.example/${name}/': refused`;
const noRevision = 'error: no git revision in repository';
const textFor = (name: string) =>
  [
    'error:',
    `       … while fetching the input 'git+https://git.example/${name}?rev=1'`,
    `       ${noRevision}`,
  ].join('\n');

function wordsFor(texts: readonly string[], heard: readonly string[]): readonly string[] {
  const words = collectGitWords();
  for (const line of heard) words.add(line);
  return texts
    .map((text) => words.explain(text))
    .map((text) => text.match(/^ *(?:fatal|ssh): .*/gm)?.join() ?? '');
}

test('fetches of two workers that fail at once each have their own words', () => {
  const both = [
    refused('a'),
    refused('b'),
    'fatal: no branch',
    `       ${noRevision}`,
    `       ${noRevision}`,
  ];
  expect(wordsFor([textFor('b'), textFor('a')], both)).toEqual([
    expect.stringMatching(/^ +fatal: [^,]*example\/b[^,]*$/),
    expect.stringMatching(/^ +fatal: [^,]*example\/a[^,]*$/),
  ]);
});

test('words that name no address are those right before the error', () => {
  const later = 'error: git failed with exit code 128';
  const heard = ['fatal: first', `       ${noRevision}`, 'ssh: second', `       ${later}`];
  expect(wordsFor([later, textFor('a')], heard)).toEqual([
    expect.stringMatching(/ssh: second$/),
    expect.stringMatching(/fatal: first$/),
  ]);
});

test('an error is known also where the end of its line came later than words of another', () => {
  const glued = `       ${noRevision}${refused('b')}`;
  expect(wordsFor([textFor('a')], ['fatal: mine', glued])).toEqual([expect.stringMatching(/fatal: mine$/)]);
});

test('an address in an excerpt of the code is not what was fetched', () => {
  const text = `${textFor('a')}\n            7|  x = fetchGit "https://git.example/b";`;
  expect(wordsFor([text], [refused('b'), `       ${noRevision}`])).toEqual(['']);
});
