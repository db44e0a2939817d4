/** A stretch of a log by line numbers, since people link to lines and the log is stored by bytes. */
import { z } from 'zod';
import { readLog } from '../../logs/index.ts';
import { type Reader, readRow } from './reader.ts';

/** Lines a page shows at once. */
export const windowLines = 2_000;
/** Bytes a page reads at once; a log of very long lines shows fewer of them. */
const windowBytes = 1024 * 1024;
const newline = 0x0a;

export interface LogWindow {
  readonly bytes: Buffer;
  /** Number of the first line, from 1. */
  readonly firstLine: number;
  /** Offset after the last byte shown: where a live stream goes on. */
  readonly nextByte: number;
  /** Whether the bytes reach the end of the log as it is now. */
  readonly reachesEnd: boolean;
}

const chunkShape = z.object({ position: z.number(), first_line: z.number() });

/**
 * Reads the last lines of a log, or, with `line`, the window that holds it. Windows of one log
 * start at fixed lines, so that "earlier" and "later" lead through all of it.
 */
export async function readLogWindow(
  reader: Reader,
  attempt: { readonly id: number; readonly log_lines: number; readonly log_bytes: number },
  line: number | undefined,
): Promise<LogWindow> {
  const first =
    line === undefined
      ? Math.max(0, attempt.log_lines - windowLines)
      : Math.floor((Math.min(line, Math.max(attempt.log_lines, 1)) - 1) / windowLines) * windowLines;
  const chunk = await readRow(
    reader,
    chunkShape,
    `SELECT position, first_line FROM log_chunks WHERE attempt_id = :id AND first_line <= :first
     ORDER BY position DESC LIMIT 1`,
    { id: attempt.id, first },
  );
  if (!chunk) return { bytes: Buffer.alloc(0), firstLine: 1, nextByte: 0, reachesEnd: true };
  const slice = await readLog(reader.db, attempt.id, { fromByte: chunk.position, maxBytes: windowBytes });
  const start = skipLines(slice.bytes, 0, first - chunk.first_line);
  const all = slice.bytes.subarray(start);
  const bytes = line === undefined ? all : all.subarray(0, skipLines(all, 0, windowLines));
  const nextByte = chunk.position + start + bytes.length;
  return { bytes, firstLine: first + 1, nextByte, reachesEnd: nextByte >= attempt.log_bytes };
}

/** Offset after so many line ends, or the end. */
function skipLines(bytes: Buffer, from: number, lines: number): number {
  let offset = from;
  for (let skipped = 0; skipped < lines; skipped += 1) {
    const end = bytes.indexOf(newline, offset);
    if (end === -1) return bytes.length;
    offset = end + 1;
  }
  return offset;
}
