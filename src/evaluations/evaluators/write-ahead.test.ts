/** When derivations that become files anyway are written; that stores take them is told elsewhere. */
import { expect, test } from 'vitest';
import { createPendingDerivations } from '../../nix/index.ts';
import { writeAhead } from './write-ahead.ts';

const paths = Array.from({ length: 250 }, (_, n) => `/nix/store/${'0'.repeat(32)}-job-${n}.drv`);

/** A store that answers when it is told to. */
function slowStore() {
  const batches: number[] = [];
  const waiting: ((error?: Error) => void)[] = [];
  const derivations = createPendingDerivations({
    addTexts: (texts) => {
      batches.push(texts.length);
      return new Promise((resolve, reject) => {
        waiting.push((error) => (error ? reject(error) : resolve()));
      });
    },
  });
  const answer = async (error?: Error) => {
    await expect.poll(() => waiting.length).toBeGreaterThan(0);
    waiting.shift()?.(error);
  };
  return { batches, derivations, answer };
}

test('they are written a hundred at a time', async () => {
  const { batches, derivations, answer } = slowStore();
  const ahead = writeAhead(derivations, { atLeast: 100, atOnce: true });
  for (const path of paths) ahead.derivations.add(path, Buffer.from('Derive'), []);
  await answer();
  await answer();
  await ahead.end();
  expect(batches).toEqual([100, 100]);
});

test('the few that are left are written when somebody asks, and what failed is tried again then', async () => {
  const { batches, derivations, answer } = slowStore();
  const ahead = writeAhead(derivations, { atLeast: 100, atOnce: true });
  for (const path of paths.slice(0, 120)) ahead.derivations.add(path, Buffer.from('Derive'), []);
  await answer(new Error('the store is away'));
  await ahead.end();
  const all = ahead.derivations.write(paths);
  await answer();
  await all;
  expect(batches).toEqual([100, 120]);
  await ahead.derivations.write(paths);
  expect(batches).toHaveLength(2);
});

test('after its end it begins nothing more', async () => {
  const { batches, derivations, answer } = slowStore();
  const ahead = writeAhead(derivations, { atLeast: 100, atOnce: true });
  for (const path of paths) ahead.derivations.add(path, Buffer.from('Derive'), []);
  const ended = ahead.end();
  await answer();
  await ended;
  expect(batches).toEqual([100]);
  expect(derivations.size).toBe(250);
});

test('where nobody may ask, nothing is written before somebody does, and then what has come and what comes', async () => {
  const { batches, derivations, answer } = slowStore();
  const ahead = writeAhead(derivations, { atLeast: 1, atOnce: false });
  const [first = '', ...others] = paths;
  ahead.derivations.add(first, Buffer.from('Derive'), []);
  expect(batches).toEqual([]);
  ahead.begin();
  for (const path of others.slice(0, 30)) ahead.derivations.add(path, Buffer.from('Derive'), []);
  await answer();
  await answer();
  await ahead.end();
  expect(batches).toEqual([1, 30]);
});
