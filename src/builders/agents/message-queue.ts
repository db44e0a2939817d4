/** Messages on their way into a stream: put in at any time, taken out by one reader. */

export interface MessageQueue<T> {
  push(message: T): void;
  /** Ends the stream after what is in it; with an error, at once. */
  end(error?: Error): void;
  read(signal: AbortSignal): AsyncGenerator<T>;
}

export function createMessageQueue<T>(): MessageQueue<T> {
  const waiting: T[] = [];
  let over = false;
  let failure: Error | undefined;
  let wake: () => void = () => {};
  return {
    push(message) {
      if (over) return;
      waiting.push(message);
      wake();
    },
    end(error) {
      over = true;
      failure ??= error;
      wake();
    },
    async *read(signal) {
      const onAbort = () => wake();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        while (!signal.aborted) {
          if (failure) throw failure;
          const next = waiting.shift();
          if (next !== undefined) yield next;
          else if (over) return;
          else
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
        }
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
  };
}
