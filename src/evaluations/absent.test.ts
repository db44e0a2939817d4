import { expect, test } from 'vitest';
import { withAbsent } from './absent.ts';
import type { EvaluationEvent } from './events.ts';

async function said(events: readonly EvaluationEvent[], submodules: string[], pointers: string[] = []) {
  const stream = async function* () {
    yield* events;
  };
  const all: string[] = [];
  for await (const event of withAbsent(stream(), { submodules, pointers })) {
    if (event.type === 'notice' || event.type === 'error') all.push(event.message);
  }
  return all;
}

const error = (message: string): EvaluationEvent => ({ type: 'error', path: ['a'], message });

test('what is not in a checkout is said once, however much it is', async () => {
  const [submodules, pointers, ...more] = await said([], ['lib'], ['a', 'b', 'c', 'd', 'e', 'f', 'g']);
  expect(submodules).toMatch(/Submodules are not fetched.*'lib'.*submodules = true/);
  expect(pointers).toMatch(/Git LFS.*'a', 'b', 'c', 'd', 'e' and 2 more/);
  expect(more).toEqual([]);
});

test('an error of reading in a submodule says what to do instead of what others need', async () => {
  const [, inside, outside] = await said(
    [
      error("error: path 'lib/default.nix' does not exist\n\nhelp: is it ignored?\n\n  | where"),
      error("error: path 'library/default.nix' does not exist\n\nhelp: is it ignored?"),
    ],
    ['lib'],
  );
  expect(inside).toMatch(
    /does not exist\n\nhelp: 'lib' is a submodule, .*submodules = true.*\n\n {2}\| where$/,
  );
  expect(outside).toMatch(/help: is it ignored\?$/);
});

test('nothing is said of a checkout that has all', async () => {
  expect(await said([error('error: no')], [])).toEqual(['error: no']);
});
