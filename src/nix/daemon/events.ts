/**
 * What a daemon tells while it works on an operation: messages, activities, and what activities
 * have to say. The stream ends with either an error or the operation's reply.
 */
import {
  bytes,
  type Decoder,
  integer,
  list,
  ProtocolError,
  text,
  unsigned,
  wireLimits,
  word,
} from './wire.ts';

/** One thing the daemon says before its reply. */
export type DaemonEvent =
  | { readonly type: 'message'; readonly text: string }
  | {
      readonly type: 'activity-started';
      readonly id: bigint;
      readonly parent: bigint;
      /** 0 error … 7 vomit. */
      readonly level: number;
      readonly kind: ActivityKind;
      readonly text: string;
      readonly fields: readonly Field[];
    }
  | { readonly type: 'activity-stopped'; readonly id: bigint }
  /** A line that a builder printed, on either of its streams, without the newline. */
  | { readonly type: 'log-line'; readonly activity: bigint; readonly line: Buffer }
  | { readonly type: 'phase'; readonly activity: bigint; readonly phase: string }
  | {
      readonly type: 'progress';
      readonly activity: bigint;
      readonly done: number;
      readonly expected: number;
      readonly running: number;
      readonly failed: number;
    }
  | {
      readonly type: 'result';
      readonly activity: bigint;
      readonly code: number;
      readonly fields: readonly Field[];
    };

export type Field = number | Buffer;

const activityKinds = {
  100: 'copy-path',
  101: 'file-transfer',
  102: 'realise',
  103: 'copy-paths',
  104: 'builds',
  105: 'build',
  106: 'optimise-store',
  107: 'verify-paths',
  108: 'substitute',
  109: 'query-path-info',
  110: 'post-build-hook',
  111: 'build-waiting',
  112: 'fetch-tree',
} as const;

export type ActivityKind = (typeof activityKinds)[keyof typeof activityKinds] | 'unknown';

/** An error that the daemon reports as the outcome of an operation. The connection stays usable. */
export interface DaemonError {
  readonly level: number;
  /** With ANSI colours, as Nix wrote it. */
  readonly message: string;
  readonly traces: readonly string[];
}

/** How an operation ended. */
export type Reply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: DaemonError };

/** The tags of the messages: four letters each, read backwards. */
const tag = {
  next: 0x6f6c6d67,
  read: 0x64617461,
  write: 0x64617416,
  last: 0x616c7473,
  error: 0x63787470,
  startActivity: 0x53545254,
  stopActivity: 0x53544f50,
  result: 0x52534c54,
} as const;

const resultCode = { buildLogLine: 101, setPhase: 104, progress: 105, postBuildLogLine: 107 } as const;

/** Reads messages until the operation ends, and then its reply. */
export function* untilReply<T>(
  onEvent: (event: DaemonEvent) => void,
  reply: () => Decoder<T>,
): Decoder<Reply<T>> {
  for (;;) {
    const kind = yield* integer();
    switch (kind) {
      case tag.result:
        onEvent(yield* resultEvent());
        break;
      case tag.next:
        onEvent({ type: 'message', text: yield* text() });
        break;
      case tag.startActivity:
        onEvent(yield* startEvent());
        break;
      case tag.stopActivity:
        onEvent({ type: 'activity-stopped', id: yield* unsigned() });
        break;
      case tag.error:
        return { ok: false, error: yield* daemonError() };
      case tag.last:
        return { ok: true, value: yield* reply() };
      case tag.read:
      case tag.write:
        throw new ProtocolError('the daemon wants to exchange data in an operation that has none');
      default:
        throw new ProtocolError(`unknown message ${kind.toString(16)} from the daemon`);
    }
  }
}

function* startEvent(): Decoder<DaemonEvent> {
  const id = yield* unsigned();
  const level = yield* integer();
  const kind = activityKind(yield* integer());
  const said = yield* text();
  const fields = yield* list(field, wireLimits.fields);
  return { type: 'activity-started', id, level, kind, text: said, fields, parent: yield* unsigned() };
}

function* resultEvent(): Decoder<DaemonEvent> {
  const activity = yield* unsigned();
  const code = yield* integer();
  const fields = yield* list(field, wireLimits.fields);
  const first = fields[0];
  if (first instanceof Buffer) {
    if (code === resultCode.buildLogLine || code === resultCode.postBuildLogLine) {
      return { type: 'log-line', activity, line: first };
    }
    if (code === resultCode.setPhase) return { type: 'phase', activity, phase: first.toString('utf8') };
  }
  if (code === resultCode.progress) {
    const [done, expected, running, failed] = fields.map((value) => (typeof value === 'number' ? value : 0));
    return {
      type: 'progress',
      activity,
      done: done ?? 0,
      expected: expected ?? 0,
      running: running ?? 0,
      failed: failed ?? 0,
    };
  }
  return { type: 'result', activity, code, fields };
}

function* field(): Decoder<Field> {
  const kind = yield* integer();
  if (kind === 0) return Number(yield* unsigned());
  if (kind === 1) return yield* bytes(wireLimits.textBytes);
  throw new ProtocolError(`unknown type ${kind} of a field`);
}

/** Structured since 1.26: type, level, name, message, no position, and the traces. */
function* daemonError(): Decoder<DaemonError> {
  yield* word();
  const level = yield* integer();
  yield* word();
  const message = yield* text();
  yield* noPosition();
  const traces = yield* list(trace, wireLimits.fields);
  return { level, message, traces };
}

function* trace(): Decoder<string> {
  yield* noPosition();
  return yield* text();
}

function* noPosition(): Decoder<void> {
  // A position is never sent: the protocol has a flag for it, and no format.
  if ((yield* integer()) !== 0) throw new ProtocolError('an error carries a position');
}

function activityKind(code: number): ActivityKind {
  const kinds: Readonly<Record<number, ActivityKind>> = activityKinds;
  return kinds[code] ?? 'unknown';
}
