/** The daemon's side of the protocol against clients that do not keep to it. */
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeText, type StoreService, serveClient } from './index.ts';
import { encode, type Part } from './wire.ts';

const magic = 0x6e697863;
const hello: readonly Part[] = [magic, 256 + 34, 0, 0];
const failure = 0x63787470;

function refuse(): never {
  throw new Error('not asked for in this test');
}

/** A store that has nothing and takes everything. */
function emptyStore(taken: string[] = []): StoreService {
  const text = (name: string, content: Buffer) => {
    taken.push(`${name}: ${content.length}`);
    return describeText('/nix/store', name, content, []);
  };
  return {
    setOptions: () => {},
    isValidPath: async () => false,
    pathInfo: async () => undefined,
    pathFromHashPart: async () => undefined,
    validPaths: async () => new Set(),
    substitutablePaths: async () => new Set(),
    missing: async () => refuse(),
    outputs: async () => new Map(),
    ensurePath: async () => {},
    addTempRoot: async () => {},
    addIndirectRoot: async () => {},
    build: async () => refuse(),
    addDerivation: text,
    addTree: async ({ fileName, content }) => {
      const chunks: Buffer[] = [];
      for await (const chunk of content) chunks.push(chunk);
      return text(fileName, Buffer.concat(chunks));
    },
  };
}

/** Says it all, in pieces, and hears the answers; the end of the service as an error or undefined. */
async function serve(says: Buffer, pieces = says.length, taken: string[] = [], goes = true) {
  const input = new PassThrough();
  const output = new PassThrough();
  const heard: Buffer[] = [];
  output.on('data', (chunk: Buffer) => heard.push(chunk));
  for (let at = 0; at < says.length; at += Math.max(1, pieces)) {
    input.write(says.subarray(at, at + Math.max(1, pieces)));
  }
  if (goes) input.end();
  const transport = {
    name: 'the client',
    input,
    output,
    destroy: async () => {
      input.destroy();
      output.end();
    },
    lastWords: async () => '',
  };
  const end = await serveClient(transport, { nixVersion: 'test', service: emptyStore(taken) }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { end, heard: Buffer.concat(heard) };
}

/** A length, that many bytes, and the end. */
function framed(content: Buffer): Buffer {
  return Buffer.concat([encode(content.length), content, encode(0)]);
}

describe('serving a client', () => {
  test('a derivation is named, and the next question answered, however the bytes are cut', async () => {
    const says = Buffer.concat([
      encode(...hello),
      encode(7, 'a.drv', 'text:sha256', [], 0),
      framed(Buffer.from('Derive([…')),
      encode(7, 'tree', 'fixed:r:sha256', [], 0),
      framed(Buffer.alloc(100_001)),
      encode(1, '/nix/store/a'),
    ]);
    const whole = await serve(says);
    expect(whole.end).toBeUndefined();
    for (const pieces of [1, 7, 8, 1000]) {
      const taken: string[] = [];
      const { end, heard } = await serve(says, pieces, taken);
      expect(end).toBeUndefined();
      expect(taken).toEqual(['a.drv: 11', 'tree: 100001']);
      expect(heard).toEqual(whole.heard);
    }
  });

  const huge = 2 ** 50;
  test.each<[string, readonly Part[]]>([
    ['is no client', [1, 2, 3, 4]],
    ['speaks too old a version', [magic, 256 + 20, 0, 0]],
    ['sends a tree in one frame of petabytes', [...hello, 7, 'a', 'fixed:r:sha256', [], 0, huge]],
  ])('one that %s is cut off', async (_, says) => {
    expect((await serve(encode(...says))).end).toBeInstanceOf(Error);
  });

  test.each<[string, readonly Part[]]>([
    ['asks for what is not served', [...hello, 36, '/nix/store/a.drv']],
    ['asks for what nobody knows', [...hello, 999]],
    ['names a path of petabytes', [...hello, 1, huge]],
    ['lists billions of paths', [...hello, 31, 2 ** 32]],
    ['sends a derivation of petabytes', [...hello, 7, 'a.drv', 'text:sha256', [], 0, huge]],
    ['names a path that is none', [...hello, 1, 'a']],
  ])('one that %s is told so, and cut off', async (_, says) => {
    const { end, heard } = await serve(encode(...says), undefined, [], false);
    expect(end).toBeInstanceOf(Error);
    expect(heard.includes(encode(failure))).toBe(true);
  });

  test('one that goes in the middle of anything has just gone', async () => {
    const says = Buffer.concat([
      encode(...hello, 7, 'a.drv', 'text:sha256', ['/nix/store/b'], 0),
      framed(Buffer.from('Derive([…')),
    ]);
    for (let length = 0; length < says.length; length += 3) {
      expect((await serve(says.subarray(0, length))).end).toBeUndefined();
    }
  });

  test('one that says just anything neither hangs nor crashes the service', async () => {
    const part = fc.oneof(
      fc.constantFrom<Part>(1, 7, 9, 10, 19, 26, 31, 39, 40, 41, 46, 0, 8, 'a.drv', 'text:sha256', []),
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 20 }), async (parts) => {
        const { end } = await serve(encode(...hello, ...parts));
        expect(end === undefined || end instanceof Error).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
