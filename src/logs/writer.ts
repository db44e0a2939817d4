/**
 * Appends the log of one attempt to the database, in pieces.
 *
 * Lines are gathered and written a few times a second, so that a builder that prints a line a
 * millisecond costs a handful of inserts. When the database is away the pieces wait in memory and
 * are written later, up to a limit; what does not fit is dropped and said so in the log itself.
 */
import type { Knex } from 'knex';
import type { Logger } from '../basics/index.ts';

/** NOTIFY channel that tells readers of new bytes; the payload is the attempt's id. */
export const logChannel = 'ringmaster_log';

const flushAfterMs = 200;
const flushAtBytes = 64 * 1024;
const retryAfterMs = 1_000;
/** Held in memory while the database is away. */
const maxWaitingBytes = 16 * 1024 * 1024;

export interface LogWriter {
  /** Takes one line without its newline. Returns at once. */
  line(bytes: Buffer): void;
  /** Writes what is left and marks the log complete. Waits for the database as long as `signal` allows. */
  finish(signal?: AbortSignal): Promise<void>;
}

export interface LogWriterOptions {
  readonly db: Knex;
  readonly attemptId: number;
  readonly log: Logger;
}

/** Starts a writer. One attempt has one writer, so the positions are its own count. */
export function openLogWriter({ db, attemptId, log }: LogWriterOptions): LogWriter {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let waitingLines = 0;
  let dropped = 0;
  let position = 0;
  let lineNumber = 0;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<boolean> | undefined;

  /** Writes one piece; false when the database did not take it. */
  async function writePiece(complete: boolean): Promise<boolean> {
    const piece = Buffer.concat(waiting);
    const lines = waitingLines;
    const pieces = waiting.length;
    try {
      await db.transaction(async (trx) => {
        // A lost last piece after a power cut is no harm: the attempt is then lost as well.
        await trx.raw('SET LOCAL synchronous_commit = off');
        if (piece.length > 0) {
          await trx('log_chunks')
            .insert({ attempt_id: attemptId, position, first_line: lineNumber, bytes: piece })
            // The answer to an earlier try may have been lost after the commit.
            .onConflict(['attempt_id', 'position'])
            .merge();
        }
        await trx('attempts')
          .where({ id: attemptId })
          .update({
            log_bytes: position + piece.length,
            log_lines: lineNumber + lines,
            log_complete: complete,
          });
        await trx.raw('SELECT pg_notify(?, ?)', [logChannel, String(attemptId)]);
      });
    } catch (error) {
      log.warn({ err: error, attempt: attemptId }, 'the log could not be written yet');
      return false;
    }
    position += piece.length;
    lineNumber += lines;
    waiting = waiting.slice(pieces);
    waitingBytes -= piece.length;
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
    waitingBytes += line.length + 1;
    waitingLines += 1;
  }

  return {
    line(bytes) {
      if (waitingBytes + bytes.length > maxWaitingBytes) {
        dropped += 1;
        return;
      }
      if (dropped > 0) {
        add(Buffer.from(`ringmaster: ${dropped} lines were dropped while the database was away`));
        dropped = 0;
      }
      add(bytes);
      if (waitingBytes >= flushAtBytes && !running) {
        clearTimeout(timer);
        timer = undefined;
        schedule(0);
      } else {
        schedule(flushAfterMs);
      }
    },

    async finish(signal) {
      clearTimeout(timer);
      timer = undefined;
      while (!(await flush(true))) {
        if (signal?.aborted) return;
        await new Promise<void>((resolve) => setTimeout(resolve, retryAfterMs));
      }
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

const newline = Buffer.from('\n');
