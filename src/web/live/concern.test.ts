import { expect, test } from 'vitest';
import { createConcern } from './concern.ts';

test('a page asks once for the revisions that it is about, and after a while whether there are new ones', async () => {
  let time = 0;
  let asked = 0;
  const revisions = new Set([1, 2]);
  const concerns = createConcern(
    async () => {
      asked += 1;
      return new Set(revisions);
    },
    () => time,
  );
  expect(await Promise.all([concerns(7), concerns(1), concerns(2), concerns(8)])).toEqual([
    false,
    true,
    true,
    false,
  ]);
  expect(asked).toBe(1);
  revisions.add(7);
  expect(await concerns(7)).toBe(false);
  time += 30_000;
  expect(await concerns(7)).toBe(true);
  expect(asked).toBe(2);
});

test('asks again where the database did not answer', async () => {
  let away = true;
  const concerns = createConcern(async () => {
    if (away) throw new Error('away');
    return new Set([1]);
  });
  await expect(concerns(1)).rejects.toThrow('away');
  away = false;
  expect(await concerns(1)).toBe(true);
});
