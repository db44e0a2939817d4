/** Where the whole log of an attempt first says what went wrong, however long it is. */
import { readLog, readPhases } from '../../logs/index.ts';
import { splitLines } from '../ansi.ts';
import { createFailureSearch } from '../failure-line.ts';
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
  readonly log_complete: boolean;
}

const sliceBytes = 1024 * 1024;
/** Bytes of one log that are looked through: about a second's work, once. */
const mostBytes = 32 * sliceBytes;
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

async function search(reader: Reader, { id, log_bytes }: LogOfAttempt): Promise<FirstError | undefined> {
  // The last phase is the one that failed; in one as long as that, the beginning is looked through.
  const last = (await readPhases(reader.db, [id])).at(-1);
  const start = last ? { position: last.position, line: last.line } : { position: 0, line: 0 };
  const inPhase = await searchFrom(reader, id, log_bytes, start);
  return inPhase ?? (start.position > 0 ? searchFrom(reader, id, start.position, origin) : undefined);
}

const origin = { position: 0, line: 0 };

async function searchFrom(
  reader: Reader,
  id: number,
  end: number,
  start: { readonly position: number; readonly line: number },
): Promise<FirstError | undefined> {
  const failures = createFailureSearch();
  let found: number | undefined;
  let excerpt = Buffer.alloc(0);
  let position = start.position;
  let added = 0;
  while (position < Math.min(end, start.position + mostBytes)) {
    const { bytes } = await readLog(reader.db, id, { fromByte: position, maxBytes: sliceBytes });
    if (bytes.length === 0) break;
    // Lines that a slice cuts are read with the next one; a line of a whole slice is taken as it is.
    const cut = position + bytes.length < end ? bytes.lastIndexOf(newline) + 1 : bytes.length;
    const whole = bytes.subarray(0, cut === 0 ? bytes.length : cut);
    const lines = splitLines(whole);
    failures.add(lines);
    const now = failures.found();
    if (now !== found && now !== undefined) {
      const from = now - added;
      excerpt = Buffer.concat(
        lines.slice(from, from + excerptLines).map((line) => Buffer.concat([line, Buffer.from('\n')])),
      ).subarray(0, excerptBytes);
    }
    found = now;
    added += lines.length;
    position += whole.length;
  }
  return found === undefined ? undefined : { line: start.line + found + 1, excerpt };
}
