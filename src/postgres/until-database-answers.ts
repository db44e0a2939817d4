import { type Logger, messageOf } from '../basics/index.ts';
import { isConnectionError } from './connection-errors.ts';

const firstDelayMs = 200;
const lastDelayMs = 5_000;

/**
 * Repeats an idempotent piece of work while the database is away, so that a result is never lost to
 * a restart of the server. Rejects with any other error at once, and with the last connection error
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
      if (!isConnectionError(error) || signal?.aborted) throw error;
      log.warn({ reason: messageOf(error) }, 'the database is away, trying again');
      await new Promise<void>((resolve) => setTimeout(resolve, delay));
    }
  }
}
