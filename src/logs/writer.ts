/**
 * Appends the log of one attempt to the database, in pieces.
 *
 * Lines are gathered and written a few times a second, so that a builder that prints a line a
 * millisecond costs a handful of inserts. When the database is away or slow the pieces wait in memory
 * and are written later, up to a limit; what does not fit is dropped and said so in the log itself.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Knex } from 'knex';
import { type Logger, messageOf } from '../basics/index.ts';
import { isPassingError } from '../postgres/index.ts';
import type { Secrets } from './redactor.ts';

/** NOTIFY channel that tells readers of new bytes; the payload is the attempt's id. */
export const logChannel = 'ringmaster_log';

const flushAfterMs = 200;
const flushAtBytes = 64 * 1024;
const retryAfterMs = 1_000;
/** Held in memory while the database is away, and written at once. */
const maxWaitingBytes = 16 * 1024 * 1024;
/** What a line costs in memory besides its bytes: an empty one is not free. */
const lineCost = 128;
/** Of a longer line only the beginning is kept. */
const maxLineBytes = 4 * 1024 * 1024;

export interface LogWriter {
  /** Takes one line without its newline. Returns at once. */
  line(bytes: Buffer): void;
  /** Notes that a phase of the build begins here. */
  phase(name: string): void;
  /** Writes what is left and marks the log complete. Waits for the database as long as `signal` allows. */
  finish(signal?: AbortSignal): Promise<void>;
}

export interface LogWriterOptions {
  readonly db: Knex;
  readonly attemptId: number;
  /** What must not be in it, asked for each line: secrets come and go. */
  readonly secrets?: () => Secrets;
  readonly log: Logger;
}

/** Starts a writer. One attempt has one writer, so the positions are its own count. */
export function openLogWriter({ db, attemptId, secrets, log }: LogWriterOptions): LogWriter {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let waitingLines = 0;
  let phases: Phase[] = [];
  let dropped = 0;
  let position = 0;
  let lineNumber = 0;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<boolean> | undefined;
  /** The database did not take the last piece; the next try has its time. */
  let away = false;
  /** The database will never take it: the attempt is gone. */
  let refused = false;

  /** Writes one piece; false when the database did not take it. */
  async function writePiece(complete: boolean): Promise<boolean> {
    if (refused) return true;
    const piece = Buffer.concat(waiting);
    const lines = waitingLines;
    const pieces = waiting.length;
    const begun = phases.length;
    try {
      await db.transaction(async (trx) => {
        // What a database that crashes forgets of a log, half a second at most, is no harm.
        await trx.raw('SET LOCAL synchronous_commit = off');
        if (piece.length > 0) {
          await trx('log_chunks')
            .insert({ attempt_id: attemptId, position, first_line: lineNumber, bytes: piece })
            // The answer to an earlier try may have been lost after the commit.
            .onConflict(['attempt_id', 'position'])
            .merge();
        }
        const phase = phases.at(-1);
        if (phase) {
          const marks = phases.map((mark) => ({ attempt_id: attemptId, ...mark }));
          await trx('log_phases').insert(marks).onConflict(['attempt_id', 'position', 'name']).ignore();
        }
        await trx('attempts')
          .where({ id: attemptId })
          .update({
            ...(phase && { phase: phase.name }),
            log_bytes: position + piece.length,
            log_lines: lineNumber + lines,
            log_complete: complete,
          });
        await trx.raw('SELECT pg_notify(?, ?)', [logChannel, String(attemptId)]);
      });
    } catch (error) {
      if (isPassingError(error)) {
        if (!away)
          log.warn({ reason: messageOf(error), attempt: attemptId }, 'the log could not be written yet');
        away = true;
        return false;
      }
      log.error({ err: error, attempt: attemptId }, 'the rest of a log could not be written');
      refused = true;
      waiting = [];
      return true;
    }
    away = false;
    position += piece.length;
    lineNumber += lines;
    phases = phases.slice(begun);
    waiting = waiting.slice(pieces);
    waitingBytes -= piece.length + lines * lineCost;
    waitingLines -= lines;
    return true;
  }

  /** One write at a time, so that pieces land in order. */
  async function flush(complete: boolean): Promise<boolean> {
    while (running) await running;
    running = writePiece(complete);
    try {
      return await running;
    } finally {
      running = undefined;
    }
  }

  function schedule(delayMs: number): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      void flush(false).then((written) => {
        if (!written) schedule(retryAfterMs);
        else if (waiting.length > 0) schedule(flushAfterMs);
      });
    }, delayMs);
  }

  function add(line: Buffer): void {
    waiting.push(line, newline);
    waitingBytes += line.length + 1 + lineCost;
    waitingLines += 1;
  }

  function admitDropped(): void {
    if (dropped === 0) return;
    add(Buffer.from(`ringmaster: ${dropped} lines were dropped: the database did not take them in time`));
    dropped = 0;
  }

  return {
    line(bytes) {
      if (refused) return;
      const kept = shortened(secrets ? secrets().redact(bytes) : bytes);
      if (waitingBytes + kept.length > maxWaitingBytes) {
        dropped += 1;
        return;
      }
      admitDropped();
      add(kept);
      if (waitingBytes >= flushAtBytes && !running && !away) {
        clearTimeout(timer);
        timer = undefined;
        schedule(0);
      } else {
        schedule(flushAfterMs);
      }
    },

    phase(name) {
      if (refused || phases.length >= maxWaitingPhases) return;
      const written = waitingBytes - waitingLines * lineCost;
      const line = lineNumber + waitingLines;
      phases.push({ name: storableName(name), position: position + written, line });
      schedule(flushAfterMs);
    },

    async finish(signal) {
      clearTimeout(timer);
      timer = undefined;
      admitDropped();
      while (!(await flush(true))) {
        if (signal?.aborted) return;
        await pause(retryAfterMs, undefined, signal ? { signal } : {}).catch(() => {});
      }
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

const newline = Buffer.from('\n');

/** The beginning of a phase that is not written yet. */
interface Phase {
  readonly name: string;
  readonly position: number;
  readonly line: number;
}

/** Builders print anything, as the name of a phase, too. */
const maxWaitingPhases = 1_000;
function storableName(name: string): string {
  return name.replaceAll('\0', '\u{fffd}').slice(0, 100);
}

/** Progress bars that never end a line, and binary data: nobody reads that much of one. */
function shortened(line: Buffer): Buffer {
  if (line.length <= maxLineBytes) return line;
  const note = `… ringmaster: ${line.length - maxLineBytes} more bytes of this line were not kept`;
  return Buffer.concat([line.subarray(0, maxLineBytes), Buffer.from(note)]);
}
