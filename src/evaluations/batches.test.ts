import { expect, test } from 'vitest';
import { readInBatches } from './batches.ts';

const rhythm = { first: { size: 2, milliseconds: 3_600_000 }, later: { size: 4, milliseconds: 3_600_000 } };

async function* numbers(count: number) {
  for (let number = 0; number < count; number += 1) yield number;
}

test('the first batch is small, and nothing is lost', async () => {
  const batches: (readonly number[])[] = [];
  for await (const batch of readInBatches(numbers(103), rhythm).batches) batches.push(batch);
  expect(batches[0]?.length).toBeLessThanOrEqual(4);
  expect(batches.flat()).toEqual([...Array(103).keys()]);
});

test('what came before a failure is handed out before it', async () => {
  async function* failing() {
    yield* numbers(3);
    throw new Error('broken');
  }
  const seen: number[] = [];
  const all = async () => {
    for await (const batch of readInBatches(failing(), rhythm).batches) seen.push(...batch);
  };
  await expect(all()).rejects.toThrow('broken');
  expect(seen).toEqual([0, 1, 2]);
});

test('some that came are handed out after a while, though the rest takes long', async () => {
  let goOn = () => {};
  const rest = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  async function* slow() {
    yield 1;
    await rest;
    yield 2;
  }
  const soon = { first: { size: 9, milliseconds: 1 }, later: { size: 9, milliseconds: 1 } };
  const batches: (readonly number[])[] = [];
  for await (const batch of readInBatches(slow(), soon).batches) {
    batches.push(batch);
    goOn();
  }
  expect(batches).toEqual([[1], [2]]);
});

test('a source is read ahead of a slow taker, but not without end, and is let go when nobody takes', async () => {
  let given = 0;
  async function* endless() {
    for (;;) {
      given += 1;
      yield given;
    }
  }
  const reader = readInBatches(endless(), rhythm);
  for await (const batch of reader.batches) {
    expect(batch.length).toBeGreaterThan(0);
    break;
  }
  await reader.ended;
  expect(given).toBeLessThan(200);
});
