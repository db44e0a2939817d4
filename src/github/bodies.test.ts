import { PassThrough, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { createBodyReader } from './bodies.ts';

const megabyte = 1024 * 1024;
const body = (bytes: number) =>
  Readable.from(
    Array.from({ length: Math.ceil(bytes / megabyte) }, () => Buffer.alloc(megabyte)),
    { objectMode: false },
  );

test('a body comes whole', async () => {
  const { bytes } = await createBodyReader().read(
    Readable.from([Buffer.from('{"a"'), Buffer.from(':1}')]),
    7,
  );
  expect(bytes.toString()).toBe('{"a":1}');
});

test('one larger than GitHub’s largest is refused, unread where it says so itself', async () => {
  const reader = createBodyReader();
  await expect(reader.read(body(26 * megabyte), 0)).rejects.toMatchObject({ statusCode: 413 });
  const endless = new PassThrough();
  await expect(reader.read(endless, 26 * megabyte)).rejects.toMatchObject({ statusCode: 413 });
});

test('large ones are refused while others hold too much, small ones never, and all again after that', async () => {
  const reader = createBodyReader(10 * megabyte);
  const first = await reader.read(body(8 * megabyte), 0);
  await expect(reader.read(body(8 * megabyte), 0)).rejects.toMatchObject({ statusCode: 503 });
  const small = await Promise.all(Array.from({ length: 5 }, () => reader.read(body(megabyte), 0)));
  for (const held of [first, ...small]) held.release();
  await reader.read(body(8 * megabyte), 0);
});

test('a sender who leaves half-way holds nothing', async () => {
  const reader = createBodyReader(10 * megabyte);
  const broken = new PassThrough();
  const reading = reader.read(broken, 0);
  broken.write(Buffer.alloc(9 * megabyte));
  broken.destroy(new Error('aborted'));
  await expect(reading).rejects.toThrow('aborted');
  await reader.read(body(8 * megabyte), 0);
});
