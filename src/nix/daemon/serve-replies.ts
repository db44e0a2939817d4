/** What a daemon answers, in versions 1.34 and 1.35 of the protocol: `events.ts` and `operations.ts` backwards. */
import type { DaemonEvent, Field } from './events.ts';
import type { MissingReply } from './operations.ts';
import type { PathInfo } from './path-operations.ts';
import { encode, type Part } from './wire.ts';

const tag = {
  next: 0x6f6c6d67,
  last: 0x616c7473,
  error: 0x63787470,
  startActivity: 0x53545254,
  stopActivity: 0x53544f50,
  result: 0x52534c54,
} as const;

/** A reply that is no error. */
export function replyWith(...parts: readonly Part[]): Buffer {
  return encode(tag.last, ...parts);
}

/** An error as the outcome of an operation. */
export function errorReply(message: string): Buffer {
  const level = 0;
  const position = 0;
  const traces = 0;
  return encode(tag.error, 'Error', level, 'Error', message, position, traces);
}

export function pathInfoParts(info: PathInfo): readonly Part[] {
  return [
    info.deriver ?? '',
    info.narHash,
    [...info.references],
    Math.floor(info.registeredAt.getTime() / 1000),
    info.narBytes,
    info.ultimate,
    [...info.signatures],
    info.contentAddress ?? '',
  ];
}

export function missingParts(missing: MissingReply): readonly Part[] {
  const { willBuild, willSubstitute, unknown, downloadBytes, narBytes } = missing;
  return [[...willBuild], [...willSubstitute], [...unknown], downloadBytes, narBytes];
}

const kinds: Readonly<Record<string, number>> = {
  'copy-path': 100,
  'file-transfer': 101,
  realise: 102,
  'copy-paths': 103,
  builds: 104,
  build: 105,
  'optimise-store': 106,
  'verify-paths': 107,
  substitute: 108,
  'query-path-info': 109,
  'post-build-hook': 110,
  'build-waiting': 111,
  'fetch-tree': 112,
};

/** An event on its way from a daemon to a client of ours. */
export function eventMessage(event: DaemonEvent): Buffer {
  switch (event.type) {
    case 'message':
      return encode(tag.next, event.text);
    case 'activity-started': {
      const { level, kind, text, fields } = event;
      return Buffer.concat([
        encode(tag.startActivity),
        long(event.id),
        encode(level, kinds[kind] ?? 0, text, ...fieldParts(fields)),
        long(event.parent),
      ]);
    }
    case 'activity-stopped':
      return Buffer.concat([encode(tag.stopActivity), long(event.id)]);
    case 'log-line':
      return result(event.activity, 101, [event.line]);
    case 'phase':
      return result(event.activity, 104, [Buffer.from(event.phase)]);
    case 'progress': {
      const { done, expected, running, failed } = event;
      return result(event.activity, 105, [done, expected, running, failed]);
    }
    case 'result':
      return result(event.activity, event.code, event.fields);
  }
}

function result(activity: bigint, code: number, fields: readonly Field[]): Buffer {
  return Buffer.concat([encode(tag.result), long(activity), encode(code, ...fieldParts(fields))]);
}

function fieldParts(fields: readonly Field[]): readonly Part[] {
  return [fields.length, ...fields.flatMap((field) => (typeof field === 'number' ? [0, field] : [1, field]))];
}

/** Identifiers of activities need all 64 bits. */
function long(value: bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(value);
  return buffer;
}
