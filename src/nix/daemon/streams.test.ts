import { PassThrough, Readable, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Transport } from './channel.ts';
import { connect, type DaemonConnection } from './connection.ts';
import { endOfFrames, frames } from './framing.ts';
import { addMultipleToStore, narFromPath, type PathInfo, queryPathInfo } from './path-operations.ts';
import { encode, type Part } from './wire.ts';

const settings = { maxJobs: 1, cores: 0, useSubstitutes: true, fallback: false, overrides: {} };
const [magic, version, last, failure, stop] = [0x6478696f, 256 + 34, 0x616c7473, 0x63787470, 0x53544f50];
const welcome = encode(magic, version, '2.8.0', last, last);
const refusal = (message: string): readonly Part[] => [failure, 'Error', 0, 'Error', message, 0, 0];
const path = '/nix/store/a';
const info: PathInfo = {
  deriver: undefined,
  narHash: '0'.repeat(64),
  narBytes: 0,
  references: new Set(),
  registeredAt: new Date(0),
  ultimate: false,
  signatures: new Set(),
  contentAddress: undefined,
};

function transport(input: Readable, output: Writable = new PassThrough().resume()): Transport {
  const destroy = async () => {
    input.destroy();
    output.destroy();
  };
  return { name: 'the remote', input, output, destroy, lastWords: async () => '' };
}

/** A connection to somebody who says this after the handshake, and then ends. */
function saying(...parts: readonly Part[]): Promise<DaemonConnection> {
  return connect(transport(Readable.from([welcome, encode(...parts)], { objectMode: false })), settings);
}

async function collected(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* from(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

describe('bodies in frames', () => {
  test('say the same, however they were cut', async () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)));
    await fc.assert(
      fc.asyncProperty(chunks, async (body) => {
        const framed = Buffer.concat([await collected(frames(from(body))), endOfFrames]);
        expect(unframed(framed)).toEqual(Buffer.concat(body));
      }),
    );
  });

  test('are joined from small pieces, so that each costs a call no more', async () => {
    const sizes: number[] = [];
    for await (const frame of frames(from(Array.from({ length: 1000 }, () => Buffer.alloc(100))))) {
      sizes.push(frame.length);
    }
    expect(sizes).toHaveLength(2);
  });

  test('are not read faster than they are sent', async () => {
    let read = 0;
    const nar = (async function* () {
      for (;;) {
        read += 65_536;
        yield Buffer.alloc(65_536);
      }
    })();
    const input = new PassThrough();
    input.write(welcome);
    let written = 0;
    // It takes the handshake, and then nothing more.
    const output = new Writable({
      write: (chunk: Buffer, _, done) => {
        written += chunk.length;
        if (written < 10_000) done();
      },
    });
    const connection = await connect(transport(input, output), settings);
    const added = connection.call(addMultipleToStore([{ path, info, nar }], { unsigned: true }));
    for (let turns = 0; turns < 200; turns++) await turn();
    expect(read).toBeLessThan(1024 * 1024);
    await connection.close();
    await expect(added).rejects.toThrow(/closed/);
  });

  test('end the connection when they cannot be read to the end', async () => {
    const nar = (async function* () {
      yield Buffer.alloc(8);
      throw new Error('the disk is gone');
    })();
    const input = new PassThrough();
    input.write(welcome);
    const connection = await connect(transport(input), settings);
    const added = connection.call(addMultipleToStore([{ path, info, nar }], { unsigned: true }));
    await expect(added).rejects.toThrow('the disk is gone');
    expect(connection.usable).toBe(false);
  });

  test('may be refused, and the next question is answered', async () => {
    const connection = await saying(...refusal('no'), ...[last, 0]);
    const added = connection.call(addMultipleToStore([{ path, info, nar: from([]) }], { unsigned: true }));
    expect(await added).toMatchObject({ ok: false, error: { message: 'no' } });
    expect(await connection.call(queryPathInfo(path))).toEqual({ ok: true, value: undefined });
  });
});

function unframed(bytes: Buffer): Buffer {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const length = Number(bytes.readBigUInt64LE(at));
    at += 8;
    if (length === 0) break;
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  expect(at).toBe(bytes.length);
  return Buffer.concat(chunks);
}

describe('content of paths', () => {
  test('comes as long as it was announced, and the next question is answered', async () => {
    const connection = await saying(last, Buffer.from('x'.repeat(100)), ...[last, 0]);
    // A string on the wire: its length, and padding.
    expect((await collected(connection.receive(narFromPath(path), 112))).subarray(8, 108).toString()).toBe(
      'x'.repeat(100),
    );
    expect(await connection.call(queryPathInfo(path))).toEqual({ ok: true, value: undefined });
  });

  test('that is refused is an error, and the next question is answered', async () => {
    const connection = await saying(...refusal('no such path'), ...[last, 0]);
    await expect(collected(connection.receive(narFromPath(path), 100))).rejects.toThrow('no such path');
    expect(await connection.call(queryPathInfo(path))).toEqual({ ok: true, value: undefined });
  });

  test('that ends too soon is an error', async () => {
    const connection = await saying(last, 1, 2, 3);
    await expect(collected(connection.receive(narFromPath(path), 100))).rejects.toThrow(/closed/);
  });

  test('that nobody wants to the end ends the connection', async () => {
    const connection = await saying(last, 1, 2, 3);
    for await (const _ of connection.receive(narFromPath(path), 1_000_000)) break;
    expect(connection.usable).toBe(false);
  });

  test('is not taken faster than it is used', async () => {
    let produced = 0;
    const endless = new Readable({
      highWaterMark: 65_536,
      read() {
        produced += 65_536;
        this.push(Buffer.alloc(65_536));
      },
    });
    const input = new PassThrough();
    input.write(welcome);
    const connection = await connect(transport(input), settings);
    input.write(encode(last));
    endless.pipe(input);
    const stream = connection.receive(narFromPath(path), 2 ** 40);
    await stream.next();
    for (let turns = 0; turns < 200; turns++) await turn();
    expect(produced).toBeLessThan(2 * 1024 * 1024);
    endless.unpipe(input);
    await stream.return(undefined);
  });
});

describe('questions in one journey', () => {
  test('get their own answers, refused ones too', async () => {
    const answer = [last, 1, '', 'a'.repeat(64), 0, 0, 5, 0, 0, ''];
    const connection = await saying(...answer, ...refusal('hm'), ...[last, 0], ...answer);
    const replies = await connection.callAll([path, path, path, path].map(queryPathInfo));
    expect(replies).toMatchObject([
      { ok: true, value: { narBytes: 5 } },
      { ok: false, error: { message: 'hm' } },
      { ok: true, value: undefined },
      { ok: true, value: { narHash: 'a'.repeat(64) } },
    ]);
  });

  test('fail together when the connection is lost', async () => {
    const connection = await saying(last, 0);
    await expect(connection.callAll([path, path].map(queryPathInfo))).rejects.toThrow(/closed/);
  });
});

describe('a hostile remote', () => {
  test('that talks without ever answering is dropped', async () => {
    const talk = Buffer.concat(Array.from({ length: 4096 }, () => encode(stop, 1)));
    const input = new Readable({
      read() {
        this.push(talk);
      },
    });
    input.unshift(welcome);
    const connection = await connect(transport(input), settings);
    await expect(connection.call(queryPathInfo(path))).rejects.toMatchObject({ reason: 'limit' });
  });

  test.each<[string, readonly Part[], RegExp]>([
    ['a hash that is none', [last, 1, '', 'sha256:x', 0, 0, 5, 0, 0, ''], /not a SHA-256/],
    ['a reference that is no path', [last, 1, '', 'a'.repeat(64), ['b'], 0, 5, 0, 0, ''], /not absolute/],
    ['billions of references', [last, 1, '', 'a'.repeat(64), 2 ** 40], /over the limit/],
  ])('that gives a path %s is dropped', async (_, says, message) => {
    const connection = await saying(...says);
    await expect(connection.call(queryPathInfo(path))).rejects.toThrow(message);
    expect(connection.usable).toBe(false);
  });

  test('never makes a stream hang or crash, whatever it sends', async () => {
    const said = fc
      .array(fc.oneof(fc.constantFrom(last, failure, stop, 0, 1, 'Error', path), fc.nat()), { maxLength: 30 })
      .map((parts) => encode(...parts));
    await fc.assert(
      fc.asyncProperty(said, fc.nat(200), async (bytes, size) => {
        const input = Readable.from([welcome, bytes], { objectMode: false });
        const connection = await connect(transport(input), settings);
        const outcome = await collected(connection.receive(narFromPath(path), size)).then(
          (content) => String(content.length),
          (error: Error) => error.name,
        );
        expect([String(size), 'ProtocolError', 'ConnectionLost', 'DaemonRefusal']).toContain(outcome);
      }),
    );
  });
});
