import { setTimeout } from 'node:timers/promises';
import { type Logger, messageOf } from '../basics/index.ts';
import { isPassingError } from './connection-errors.ts';

const firstDelayMs = 200;
const lastDelayMs = 5_000;

/**
 * Repeats an idempotent piece of work while the database is away or its disk is full, so that a
 * result is never lost to that. Rejects with any other error at once, and with the last such error
 * when `signal` says to give up.
 */
export async function untilDatabaseAnswers<T>(
  log: Logger,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  for (let delay = firstDelayMs; ; delay = Math.min(delay * 2, lastDelayMs)) {
    try {
      return await work();
    } catch (error) {
      if (!isPassingError(error) || signal?.aborted) throw error;
      log.warn({ reason: messageOf(error) }, 'the database does not take this now, trying again');
      await setTimeout(delay, undefined, signal ? { signal } : {}).catch(() => {});
    }
  }
}
