/** Where the whole log of an attempt first says what went wrong, however long it is. */
import { readLog, readPhases } from '../../logs/index.ts';
import { splitLines } from '../ansi.ts';
import { createFailureSearch } from '../failure-line.ts';
import { readLogWindow } from './log-window.ts';
import type { Reader } from './reader.ts';

export interface FirstError {
  /** Number of the line, from 1. */
  readonly line: number;
  /** It and a few after it. */
  readonly excerpt: Buffer;
}

export interface FirstErrors {
  /** Undefined: nothing in the log looks like an error. */
  find(attempt: LogOfAttempt): Promise<FirstError | undefined>;
}

interface LogOfAttempt {
  readonly id: number;
  readonly log_bytes: number;
  readonly log_lines: number;
  readonly log_complete: boolean;
}

const sliceBytes = 1024 * 1024;
/** Bytes of one log that are looked through, as many as `builds.log_limit` allows by default: about two seconds' work, once. */
const mostBytes = 64 * sliceBytes;
/** Answers that are kept: logs that are over do not change. */
const mostKept = 500;
const excerptLines = 4;
/** Bytes of an excerpt; longer lines are cut. */
const excerptBytes = 2_000;
const newline = 0x0a;

/** Finds first errors, each log once: whoever opens the page of a failed build asks for it. */
export function createFirstErrors(reader: Reader): FirstErrors {
  const kept = new Map<number, Promise<FirstError | undefined>>();
  return {
    find(attempt) {
      if (!attempt.log_complete) return search(reader, attempt);
      const known = kept.get(attempt.id);
      if (known) return known;
      const found = search(reader, attempt);
      kept.set(attempt.id, found);
      // The database was away: the next one asks again.
      found.catch(() => kept.delete(attempt.id));
      const [oldest] = kept.keys();
      if (kept.size > mostKept && oldest !== undefined) kept.delete(oldest);
      return found;
    },
  };
}

async function search(reader: Reader, attempt: LogOfAttempt): Promise<FirstError | undefined> {
  // The last phase is the one that failed; in one as long as that, the beginning is looked through.
  const last = (await readPhases(reader.db, [attempt.id])).at(-1);
  const start = last ? { position: last.position, line: last.line } : origin;
  const inPhase = await searchFrom(reader, attempt.id, attempt.log_bytes, start);
  const line =
    inPhase ??
    (start.position > 0 ? await searchFrom(reader, attempt.id, start.position, origin) : undefined);
  return line === undefined ? undefined : { line, excerpt: await readExcerpt(reader, attempt, line) };
}

const origin = { position: 0, line: 0 };

/** Number of the line, from 1. */
async function searchFrom(
  reader: Reader,
  id: number,
  end: number,
  start: { readonly position: number; readonly line: number },
): Promise<number | undefined> {
  const failures = createFailureSearch();
  let position = start.position;
  let insideLine = false;
  while (position < Math.min(end, start.position + mostBytes)) {
    const { bytes } = await readLog(reader.db, id, { fromByte: position, maxBytes: sliceBytes });
    if (bytes.length === 0) break;
    // Of a line as long as a slice the first piece stands for all: it is one line, and data.
    const from: number = insideLine ? bytes.indexOf(newline) + 1 || bytes.length : 0;
    insideLine = insideLine && bytes[from - 1] !== newline;
    // Lines that a slice cuts are read with the next one.
    let to = position + bytes.length < end ? Math.max(bytes.lastIndexOf(newline) + 1, from) : bytes.length;
    if (to === 0) {
      insideLine = true;
      to = bytes.length;
    }
    failures.add(splitLines(bytes.subarray(from, to)));
    position += to;
  }
  const found = failures.found();
  return found === undefined ? undefined : start.line + found + 1;
}

async function readExcerpt(reader: Reader, attempt: LogOfAttempt, line: number): Promise<Buffer> {
  const { bytes, firstLine } = await readLogWindow(reader, attempt, line);
  const from = line - firstLine;
  const lines = splitLines(bytes).slice(from, from + excerptLines);
  return Buffer.concat(lines.map((one) => Buffer.concat([one, Buffer.from('\n')]))).subarray(0, excerptBytes);
}
