import { expect, test } from 'vitest';
import { readByteRange } from './byte-range.ts';

test.each([
  ['bytes=0-0', 0, 1],
  ['bytes=2-4', 2, 5],
  ['bytes=7-', 7, 10],
  ['bytes=5-999', 5, 10],
  ['bytes=-3', 7, 10],
  ['bytes=-999', 0, 10],
])('of ten bytes %s is from %d to before %d', (header, from, end) => {
  expect(readByteRange(header, 10)).toEqual({ kind: 'part', from, end });
});

test.each(['bytes=10-', 'bytes=10-12', 'bytes=-0'])('%s is outside of ten bytes', (header) => {
  expect(readByteRange(header, 10)).toEqual({ kind: 'unsatisfiable' });
});

test.each([undefined, '', 'bytes=', 'bytes=-', 'bytes=4-2', 'bytes=0-1,3-4', 'lines=0-1', 'bytes=a-b'])(
  '%s is answered with the whole',
  (header) => {
    expect(readByteRange(header, 10)).toEqual({ kind: 'whole' });
  },
);

test('of nothing there is no part', () => {
  expect(readByteRange('bytes=0-', 0)).toEqual({ kind: 'unsatisfiable' });
});
