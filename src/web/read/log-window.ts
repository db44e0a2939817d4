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

interface LogOfAttempt {
  readonly id: number;
  readonly log_lines: number;
  readonly log_bytes: number;
}

/**
 * Reads the last lines of a log, or, with `line`, the window that holds it. Windows of one log
 * start at fixed lines, so that "earlier" and "later" lead through all of it; where lines are so
 * long that a window ends before `line`, it starts there.
 */
export async function readLogWindow(
  reader: Reader,
  attempt: LogOfAttempt,
  line: number | undefined,
): Promise<LogWindow> {
  if (line === undefined) return readEnd(reader, attempt);
  const wanted = Math.min(line, Math.max(attempt.log_lines, 1)) - 1;
  const window = await readFrom(reader, attempt, Math.floor(wanted / windowLines) * windowLines);
  const reached = window.firstLine + countLines(window.bytes);
  return wanted + 1 < reached ? window : readFrom(reader, attempt, wanted);
}

/** The end matters most: of very long lines it is the first ones that are left out. */
async function readEnd(reader: Reader, attempt: LogOfAttempt): Promise<LogWindow> {
  const window = await readFrom(reader, attempt, Math.max(0, attempt.log_lines - windowLines));
  if (window.reachesEnd) return window;
  const fromByte = Math.max(0, attempt.log_bytes - windowBytes);
  const slice = await readLog(reader.db, attempt.id, { fromByte, maxBytes: windowBytes });
  // The first line is most likely cut.
  const bytes = slice.bytes.subarray(skipLines(slice.bytes, 1));
  const firstLine = attempt.log_lines - countLines(bytes) + 1;
  return { bytes, firstLine, nextByte: slice.nextByte, reachesEnd: true };
}

/** Up to a window of lines from the line with this number, counted from 0. */
async function readFrom(reader: Reader, attempt: LogOfAttempt, first: number): Promise<LogWindow> {
  const chunk = await readRow(
    reader,
    chunkShape,
    `SELECT position, first_line FROM log_chunks WHERE attempt_id = :id AND first_line <= :first
     ORDER BY position DESC LIMIT 1`,
    { id: attempt.id, first },
  );
  if (!chunk) return { bytes: Buffer.alloc(0), firstLine: 1, nextByte: 0, reachesEnd: true };
  const fromByte = await findLine(reader, attempt.id, chunk, first);
  const slice = await readLog(reader.db, attempt.id, { fromByte, maxBytes: windowBytes });
  const bytes = slice.bytes.subarray(0, skipLines(slice.bytes, windowLines));
  const nextByte = fromByte + bytes.length;
  return { bytes, firstLine: first + 1, nextByte, reachesEnd: nextByte >= attempt.log_bytes };
}

/** The offset of a line that starts in this piece or after it. */
async function findLine(
  reader: Reader,
  attemptId: number,
  chunk: z.infer<typeof chunkShape>,
  line: number,
): Promise<number> {
  let { position, first_line: at } = chunk;
  while (at < line) {
    const { bytes, nextByte } = await readLog(reader.db, attemptId, {
      fromByte: position,
      maxBytes: windowBytes,
    });
    if (bytes.length === 0) return position;
    const lines = countLines(bytes);
    if (at + lines >= line) return position + skipLines(bytes, line - at);
    at += lines;
    position = nextByte;
  }
  return position;
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(newline); at !== -1; at = bytes.indexOf(newline, at + 1)) lines += 1;
  return lines;
}

/** Offset after so many line ends, or the end. */
function skipLines(bytes: Buffer, lines: number): number {
  let offset = 0;
  for (let skipped = 0; skipped < lines; skipped += 1) {
    const end = bytes.indexOf(newline, offset);
    if (end === -1) return bytes.length;
    offset = end + 1;
  }
  return offset;
}
