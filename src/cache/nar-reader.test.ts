import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNarReader, NarError } from './nar-reader.ts';
import { writeNar } from './nar-writer.ts';

let folder: string;
let nar: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringmaster-nar-'));
  await mkdir(join(folder, 'a', 'b'), { recursive: true });
  await writeFile(join(folder, 'a', 'file'), 'some content');
  await writeFile(join(folder, 'program'), '#!/bin/sh\n', { mode: 0o755 });
  await symlink('a/file', join(folder, 'z'));
  const chunks: Buffer[] = [];
  for await (const chunk of writeNar(folder)) chunks.push(chunk);
  nar = Buffer.concat(chunks);
});
afterAll(() => rm(folder, { recursive: true }));

function read(bytes: Buffer, pieces = bytes.length): string[] {
  const seen: string[] = [];
  const reader = createNarReader({
    directory: (path) => seen.push(`${path}/`),
    file: (path, size, executable) => seen.push(`${path} ${size}${executable ? ' executable' : ''}`),
    symlink: (path, target) => seen.push(`${path} -> ${target}`),
  });
  for (let at = 0; at < bytes.length; at += pieces) reader.push(bytes.subarray(at, at + pieces));
  reader.end();
  return seen;
}

/** An archive of the given words and numbers; numbers are lengths without the bytes they announce. */
function archive(...parts: readonly (string | number)[]): Buffer {
  const chunks = ['nix-archive-1', ...parts].flatMap((part) => {
    const length = Buffer.alloc(8);
    if (typeof part === 'number') {
      length.writeBigUInt64LE(BigInt(part));
      return [length];
    }
    const bytes = Buffer.from(part);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return [length, bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)];
  });
  return Buffer.concat(chunks);
}

test('an archive tells what is in it, however its bytes are cut', () => {
  const contents = ['/', 'a/', 'a/b/', 'a/file 12', 'program 10 executable', 'z -> a/file'];
  expect(read(nar)).toEqual(contents);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: nar.length }), (pieces) => {
      expect(read(nar, pieces)).toEqual(contents);
    }),
  );
});

test('an archive that is cut short, or goes on, is refused', () => {
  for (let size = 0; size < nar.length; size += 8)
    expect(() => read(nar.subarray(0, size))).toThrow(NarError);
  expect(() => read(Buffer.concat([nar, Buffer.from('x')]))).toThrow(/something follows/);
});

const file = ['(', 'type', 'regular', 'contents', '', ')'];
const entry = (name: string) => ['entry', '(', 'name', name, 'node', ...file, ')'];

test.each<[string, readonly (string | number)[], RegExp]>([
  ['goes up', ['(', 'type', 'directory', ...entry('..'), ')'], /cannot be called '\.\.'/],
  ['goes nowhere', ['(', 'type', 'directory', ...entry('.'), ')'], /cannot be called/],
  ['has no name', ['(', 'type', 'directory', ...entry(''), ')'], /cannot be called/],
  ['has a slash in a name', ['(', 'type', 'directory', ...entry('a/b'), ')'], /cannot be called/],
  ['has a zero in a name', ['(', 'type', 'directory', ...entry('a\0'), ')'], /cannot be called/],
  ['has a name twice', ['(', 'type', 'directory', ...entry('a'), ...entry('a'), ')'], /not in order/],
  ['is not sorted', ['(', 'type', 'directory', ...entry('b'), ...entry('a'), ')'], /not in order/],
  ['has a name of petabytes', ['(', 'type', 'directory', 'entry', '(', 'name', 2 ** 50], /too long/],
  ['has a word of petabytes', [2 ** 50], /too long/],
  ['has a link of petabytes', ['(', 'type', 'symlink', 'target', 2 ** 50], /too long/],
  ['has a link to nowhere', ['(', 'type', 'symlink', 'target', '', ')'], /leads nowhere/],
  ['has a device', ['(', 'type', 'device', ')'], /'device' is no type/],
  ['has two contents', ['(', 'type', 'regular', 'contents', '', 'contents', '', ')'], /after a file/],
])('an archive that %s is refused', (_, parts, message) => {
  expect(() => read(archive(...parts))).toThrow(message);
});

test('an archive of folders in folders without end is refused', () => {
  const level = archive('(', 'type', 'directory', 'entry', '(', 'name', 'x', 'node').subarray(24);
  const reader = createNarReader();
  reader.push(archive());
  expect(() => {
    for (let depth = 0; depth < 100_000; depth++) reader.push(level);
  }).toThrow(/too deeply/);
});

test('padding with something else than zeros is refused', () => {
  const bytes = archive('(', 'type', 'regular', 'contents', 'abc', ')');
  bytes[bytes.indexOf('abc') + 3] = 1;
  expect(() => read(bytes)).toThrow(/padding/);
});

test('a file of petabytes costs nothing until it is there', () => {
  const reader = createNarReader();
  reader.push(archive('(', 'type', 'regular', 'contents', 2 ** 50));
  for (let count = 0; count < 100; count++) reader.push(Buffer.alloc(65_536));
  expect(() => reader.end()).toThrow(/too early/);
});

test('whatever comes, it is an archive or an error', () => {
  const words = fc.constantFrom(
    '(',
    ')',
    'type',
    'regular',
    'directory',
    'entry',
    'name',
    'node',
    'contents',
    'x',
    '',
  );
  const bytes = fc.oneof(
    fc.array(fc.oneof(words, fc.nat()), { maxLength: 30 }).map((parts) => archive(...parts)),
    fc.tuple(fc.nat(nar.length - 1), fc.nat(255)).map(([at, value]) => {
      const copy = Buffer.from(nar);
      copy[at] = value;
      return copy;
    }),
  );
  fc.assert(
    fc.property(bytes, fc.integer({ min: 1, max: 50 }), (input, pieces) => {
      try {
        read(input, pieces);
      } catch (error) {
        expect(error).toBeInstanceOf(NarError);
      }
    }),
  );
});
