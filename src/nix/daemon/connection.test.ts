import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Transport } from './channel.ts';
import { connect, type DaemonConnection } from './connection.ts';
import type { DaemonEvent } from './events.ts';
import { buildPathsWithResults, queryMissing, queryValidPaths } from './operations.ts';
import { queryPathInfo } from './path-operations.ts';
import { encode, type Part, ProtocolError } from './wire.ts';

const settings = { maxJobs: 1, cores: 0, useSubstitutes: true, fallback: false, overrides: {} };

const magic = 0x6478696f;
const last = 0x616c7473;
const next = 0x6f6c6d67;
const failure = 0x63787470;
const start = 0x53545254;
const result = 0x52534c54;
const version = (minor: number) => 256 + minor;

/** What a daemon of protocol 1.34 says until it has taken the settings. */
const welcome: readonly Part[] = [magic, version(34), '2.8.0', last, last];

/** The other side: says what it is given, in pieces of the given size, and hears nothing. */
function remote(says: Buffer, pieces = says.length, end = true): Transport {
  const input = new PassThrough();
  for (let at = 0; at < says.length; at += Math.max(pieces, 1)) {
    input.write(says.subarray(at, at + Math.max(pieces, 1)));
  }
  if (end) input.end();
  const output = new PassThrough().resume();
  return {
    name: 'the remote',
    input,
    output,
    destroy: async () => void input.destroy(),
    lastWords: async () => '',
  };
}

function connected(...says: readonly Part[]): Promise<DaemonConnection> {
  return connect(remote(encode(...welcome, ...says)), settings);
}

describe('shaking hands', () => {
  test('with an old daemon, its version of the protocol is used', async () => {
    const { agreement } = await connected();
    expect(agreement).toEqual({ minor: 34, nixVersion: '2.8.0', trusted: undefined, features: [] });
  });

  test('with a daemon that tells whether it trusts us', async () => {
    const says = encode(magic, version(35), '2.15', 2, last, last);
    expect((await connect(remote(says), settings)).agreement).toMatchObject({ minor: 35, trusted: false });
  });

  test('with a daemon from the future, the newest known version is used', async () => {
    const says = encode(magic, version(77), ['time-travel'], '9.0', 1, last, last);
    expect((await connect(remote(says), settings)).agreement).toEqual({
      minor: 38,
      nixVersion: '9.0',
      trusted: true,
      features: ['time-travel'],
    });
  });

  test.each([
    ['something that is no daemon', encode(12345, version(34)), /not a Nix daemon/],
    ['a daemon that is too old', encode(magic, version(33)), /version 1\.33/],
    ['a daemon of another protocol', encode(magic, 512), /version 2\.0/],
    ['somebody who says nothing', Buffer.alloc(0), /closed the connection/],
    ['somebody who stops half way', encode(magic).subarray(0, 5), /closed the connection/],
    ['a shell that greets', Buffer.from('Welcome to host!\n'.repeat(10)), /larger than|not a Nix daemon/],
    [
      'a daemon that wants nobody',
      encode(magic, version(34), '2.8.0', failure, 'Error', 0, 'Error', 'go away', 0, 0),
      /refused the connection: go away/,
    ],
  ])('with %s fails', async (_, says, message) => {
    await expect(connect(remote(says), settings)).rejects.toThrow(message);
  });
});

describe('asking', () => {
  test('gives the reply, however the bytes are cut', async () => {
    const says = encode(...welcome, last, ['/nix/store/a', '/nix/store/b']);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: says.length }), async (pieces) => {
        const connection = await connect(remote(says, pieces), settings);
        const reply = await connection.call(queryValidPaths(['/nix/store/a']));
        expect(reply).toEqual({ ok: true, value: new Set(['/nix/store/a', '/nix/store/b']) });
      }),
    );
  });

  test('gives what the daemon says before as events', async () => {
    const connection = await connected(
      next,
      'a message',
      ...[start, 7, 3, 105, "building 'x'", 2, 1, '/x.drv', 0, 1, 0],
      ...[result, 7, 101, 1, 1, 'a line'],
      ...[result, 7, 104, 1, 1, 'buildPhase'],
      ...[result, 7, 105, 4, 0, 1, 0, 2, 0, 3, 0, 4],
      ...[result, 7, 999, 1, 0, 5],
      ...[0x53544f50, 7],
      ...[last, 0, 0, 0, 0, 0],
    );
    const events: DaemonEvent[] = [];
    const reply = await connection.call(queryMissing([]), { onEvent: (event) => events.push(event) });
    expect(reply.ok).toBe(true);
    expect(events).toEqual([
      { type: 'message', text: 'a message' },
      {
        type: 'activity-started',
        id: 7n,
        level: 3,
        kind: 'build',
        text: "building 'x'",
        fields: [Buffer.from('/x.drv'), 1],
        parent: 0n,
      },
      { type: 'log-line', activity: 7n, line: Buffer.from('a line') },
      { type: 'phase', activity: 7n, phase: 'buildPhase' },
      { type: 'progress', activity: 7n, done: 1, expected: 2, running: 3, failed: 4 },
      { type: 'result', activity: 7n, code: 999, fields: [5] },
      { type: 'activity-stopped', id: 7n },
    ]);
  });

  test("gives the daemon's error as a value, and can ask again", async () => {
    const connection = await connected(
      ...[failure, 'Error', 0, 'Error', 'no such thing', 0, 1, 0, 'while looking'],
      ...[last, 0],
    );
    expect(await connection.call(queryPathInfo('/nix/store/a'))).toEqual({
      ok: false,
      error: { level: 0, message: 'no such thing', traces: ['while looking'] },
    });
    expect(await connection.call(queryPathInfo('/nix/store/a'))).toEqual({ ok: true, value: undefined });
  });

  test('knows the processor time that newer daemons tell', async () => {
    const says = encode(
      ...[magic, version(37), '2.18', 0, last, last],
      ...[last, 1, '/a.drv!*', 0, '', 1, 0, 10, 20, 1, 5, 0, 1],
      ...['sha256:00!out', '{"outPath":"hash-a","id":"sha256:00!out","signatures":[]}'],
    );
    const connection = await connect(remote(says), settings);
    const reply = await connection.call(buildPathsWithResults(['/a.drv!*']));
    expect(reply).toMatchObject({
      ok: true,
      value: [
        { status: 'built', processorTime: { user: 5n, system: undefined }, startedAt: new Date(10_000) },
      ],
    });
  });

  test('fails when the remote does not answer in time', async () => {
    const connection = await connect(remote(encode(...welcome), undefined, false), settings);
    await expect(connection.call(queryMissing([]), { timeoutMs: 1 })).rejects.toThrow(
      /no answer to QueryMissing/,
    );
    expect(connection.usable).toBe(false);
  });

  test('fails when the connection is closed meanwhile', async () => {
    const connection = await connect(remote(encode(...welcome), undefined, false), settings);
    const asked = connection.call(queryMissing([]));
    await connection.close();
    await expect(asked).rejects.toThrow(/closed/);
  });
});

describe('a hostile remote', () => {
  const huge = 2 ** 50;
  test.each<[string, readonly Part[]]>([
    ['a message of petabytes', [next, huge]],
    ['a path of petabytes', [last, 1, huge]],
    ['a list of billions', [last, 2 ** 32]],
    ['an activity with billions of fields', [start, 1, 1, 1, '', 2 ** 32]],
    ['an error with billions of traces', [failure, 'Error', 0, 'Error', '', 0, 2 ** 32]],
  ])('that announces %s is dropped before it sends it', async (_, says) => {
    const bytes = encode(...welcome, ...says);
    const connection = await connect(remote(bytes, undefined, false), settings);
    const asked = connection.call(queryMissing([]));
    await expect(asked).rejects.toMatchObject({ name: 'ProtocolError', reason: 'limit' });
    expect(connection.usable).toBe(false);
  });

  test.each<[string, readonly Part[], RegExp]>([
    ['an unknown message', [42], /unknown message 2a/],
    ['a request for data', [0x64617461, 10], /exchange data/],
    ['a relative path', [last, ['../etc/passwd']], /not absolute/],
    ['a path with a zero in it', [last, ['/nix\0']], /not absolute/],
    ['an unknown field', [start, 1, 1, 1, '', 1, 9], /unknown type 9/],
    ['a position', [failure, 'Error', 0, 'Error', '', 1], /position/],
  ])('that sends %s is dropped', async (_, says, message) => {
    const connection = await connected(...says);
    await expect(connection.call(queryMissing([]))).rejects.toThrow(message);
    expect(connection.usable).toBe(false);
  });

  test.each(['', 'null', '{', '{"outPath":1}'])('whose build has the output %j is dropped', async (json) => {
    const connection = await connected(last, 1, '/a.drv!*', 0, '', 1, 0, 0, 0, 1, 'sha256:00!out', json);
    await expect(connection.call(buildPathsWithResults(['/a.drv!*']))).rejects.toBeInstanceOf(ProtocolError);
  });

  test('that pads a string with something else than zeros is dropped', async () => {
    const bytes = encode(...welcome, next, 'abc');
    bytes[bytes.length - 1] = 1;
    const connection = await connect(remote(bytes), settings);
    await expect(connection.call(queryMissing([]))).rejects.toThrow(/padding/);
  });

  test('never makes a question hang or crash, whatever it sends', async () => {
    const said = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      // Words of the protocol in a senseless order get further than noise.
      fc
        .array(
          fc.oneof(
            fc.constantFrom(last, next, failure, start, result, 101, 105, 1, 0, 2),
            fc.constantFrom('', '/nix/store/a', '{"outPath":"x"}', 'sha256:0!out'),
            fc.nat(),
          ),
          { maxLength: 40 },
        )
        .map((parts) => encode(...parts)),
    );
    await fc.assert(
      fc.asyncProperty(said, fc.integer({ min: 1, max: 64 }), async (bytes, pieces) => {
        const connection = await connect(
          remote(Buffer.concat([encode(...welcome), bytes]), pieces),
          settings,
        );
        const outcome = await connection.call(buildPathsWithResults(['/a.drv!*'])).then(
          (reply) => typeof reply.ok,
          (error: Error) => error.name,
        );
        expect(['boolean', 'ProtocolError', 'ConnectionLost']).toContain(outcome);
      }),
      { numRuns: 300 },
    );
  });
});
