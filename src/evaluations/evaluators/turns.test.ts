import { expect, test } from 'vitest';
import { createTurns } from './turns.ts';

test('no more than so many at a time, in the order in which they came, without those who left', async () => {
  const turns = createTurns(2);
  const order: number[] = [];
  const ends = new Map<number, () => void>();
  const leaving = new AbortController();
  const begin = (n: number, signal = new AbortController().signal) =>
    turns.take(signal, () => {
      order.push(n);
      return new Promise<void>((resolve) => ends.set(n, resolve));
    });
  const works = [begin(0), begin(1)];
  const left = begin(2, leaving.signal);
  works.push(begin(3), begin(4));
  leaving.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  expect(order).toEqual([0, 1]);
  for (const n of [1, 0, 3, 4]) {
    await expect.poll(() => ends.has(n)).toBe(true);
    ends.get(n)?.();
  }
  await Promise.all(works);
  expect(order).toEqual([0, 1, 3, 4]);
  await expect(begin(5, leaving.signal)).rejects.toThrow('gone');
});
