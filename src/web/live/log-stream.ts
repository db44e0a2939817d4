import type { Knex } from 'knex';
import { readLog } from '../../logs/index.ts';
import { createBell } from './bell.ts';
import type { EventStream } from './event-stream.ts';
import type { FanOut } from './fan-out.ts';

/** Bytes of log in one event: as HTML some times as many, held for each viewer until it is taken. */
const eventBytes = 16 * 1024;

/** A piece of log that ends where a line ends, unless a line is longer than a piece. */
export interface LogPiece {
  readonly bytes: Buffer;
  /** Offset after it: the event's id, so that a viewer who comes back goes on there. */
  readonly nextByte: number;
}

/**
 * Follows the log of an attempt from a byte offset until it is complete or the viewer leaves.
 * Pieces are cut at line ends so that no character and no colour sequence is torn apart.
 */
export async function followLog(
  options: {
    readonly db: Knex;
    readonly attemptId: number;
    readonly fromByte: number;
    /** Whether nobody will ever finish this log, since who wrote it is gone. */
    isLost(): Promise<boolean>;
    /** Whether the viewer may still see it: repositories become private. */
    isVisible(): Promise<boolean>;
  },
  logs: FanOut,
  stream: EventStream,
  onPiece: (piece: LogPiece) => Promise<void>,
): Promise<void> {
  const { db, attemptId } = options;
  const bell = createBell(stream.signal);
  // Listening starts before the first read, so that nothing falls between the two.
  const stop = await logs.watch((payload) => {
    if (payload === undefined || payload === String(attemptId)) bell.ring();
  });
  let fromByte = options.fromByte;
  try {
    for (;;) {
      const slice = await readLog(db, attemptId, { fromByte, maxBytes: eventBytes });
      if (stream.signal.aborted || !(await options.isVisible())) return;
      const length = slice.complete ? slice.bytes.length : wholeLines(slice.bytes);
      if (length > 0) {
        fromByte += length;
        await onPiece({ bytes: slice.bytes.subarray(0, length), nextByte: fromByte });
        if (!slice.complete) continue;
      }
      if (slice.complete || (await options.isLost())) return;
      if (!(await bell.wait())) return;
    }
  } finally {
    stop();
  }
}

function wholeLines(bytes: Buffer): number {
  const end = bytes.lastIndexOf(0x0a) + 1;
  return end === 0 && bytes.length >= eventBytes ? bytes.length : end;
}
