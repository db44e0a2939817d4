/** One subscription to a NOTIFY channel, many viewers. */
import type { Logger } from '../../basics/index.ts';
import type { Subscribe } from '../options.ts';

export interface FanOut {
  /**
   * Calls `listener` with each payload that arrives, and with undefined after a gap in which some
   * may have been lost. Resolves once it listens; the returned function stops it.
   */
  watch(listener: (payload: string | undefined) => void): Promise<() => void>;
  close(): void;
}

/** Subscribes when the first viewer comes and stays subscribed. */
export function createFanOut(subscribe: Subscribe, channel: string, log: Logger): FanOut {
  const listeners = new Set<(payload: string | undefined) => void>();
  let subscription: Promise<() => void> | undefined;
  let stop: (() => void) | undefined;

  const tell = (payload: string | undefined) => {
    for (const listener of listeners) listener(payload);
  };

  async function connect(): Promise<() => void> {
    try {
      stop = await subscribe(channel, { onNotification: tell, onReconnect: () => tell(undefined) });
      return stop;
    } catch (error) {
      subscription = undefined;
      log.warn({ err: error, channel }, 'live pages cannot be told of changes yet');
      throw error;
    }
  }

  return {
    async watch(listener) {
      listeners.add(listener);
      const forget = () => {
        listeners.delete(listener);
      };
      try {
        subscription ??= connect();
        await subscription;
      } catch (error) {
        forget();
        throw error;
      }
      return forget;
    },
    close() {
      stop?.();
      listeners.clear();
    },
  };
}
