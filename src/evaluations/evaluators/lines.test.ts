import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Line, readLines } from './lines.ts';

async function read(chunks: readonly Buffer[], maxBytes: number): Promise<readonly Line[]> {
  const lines: Line[] = [];
  for await (const line of readLines(Readable.from(chunks), maxBytes)) lines.push(line);
  return lines;
}

test('lines come out as they went in, however they were cut on the way', async () => {
  const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\n', ' '));
  await fc.assert(
    fc.asyncProperty(fc.array(text, { minLength: 1 }), fc.array(fc.nat(200)), async (lines, cuts) => {
      const bytes = Buffer.from(`${lines.join('\n')}\n`);
      const edges = [0, ...cuts.filter((cut) => cut < bytes.length), bytes.length].sort((a, b) => a - b);
      const chunks = edges.slice(1).map((end, index) => bytes.subarray(edges[index], end));
      const found = await read(chunks, 1_000_000);
      expect(found.map((line) => line.text)).toEqual(lines);
    }),
  );
});

test('the last line needs no newline', async () => {
  expect(await read([Buffer.from('a\nb')], 100)).toEqual([
    { text: 'a', cut: false },
    { text: 'b', cut: false },
  ]);
});

test('of a line that is too long the beginning is left, and the next line is whole', async () => {
  const chunks = [Buffer.from('x'.repeat(50)), Buffer.from('x'.repeat(50)), Buffer.from('\nnext\n')];
  expect(await read(chunks, 60)).toEqual([
    { text: 'x'.repeat(60), cut: true },
    { text: 'next', cut: false },
  ]);
});
