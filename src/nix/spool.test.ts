import { expect, test } from 'vitest';
import { createSpool } from './spool.ts';

/** Pieces of all sizes, with those that fill a chunk several times over. */
const pieces = Array.from({ length: 400 }, (_, index) =>
  Buffer.alloc(index === 77 ? 1_000_000 : (index * 7919) % 9_000, String(index)),
);

function addAll(spool: ReturnType<typeof createSpool>) {
  const added = pieces.map((bytes) => ({ at: spool.add(bytes), bytes }));
  return () => added.filter(({ at, bytes }) => !spool.read(at, bytes.length).equals(bytes));
}

test('all that was put aside is read again, in any order', () => {
  const spool = createSpool();
  const wrong = addAll(spool);
  expect(wrong()).toEqual([]);
  expect(spool.bytes).toBe(pieces.reduce((sum, { length }) => sum + length, 0));
  spool.close();
  expect(wrong).toThrow('let go');
});

test('where no file can be written, memory has to do', () => {
  const spool = createSpool(() => {
    throw new Error('the disk is full');
  });
  expect(addAll(spool)()).toEqual([]);
  spool.close();
});

test('a file is only made when there is much', () => {
  let opened = 0;
  const spool = createSpool(() => {
    opened += 1;
    throw new Error('not needed');
  });
  for (const bytes of pieces.slice(0, 20)) spool.add(bytes);
  expect(opened).toBe(0);
});
