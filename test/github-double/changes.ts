/** Waiting for something to become true, woken by each change of the double's state. */

export interface WaitOptions {
  /** Milliseconds, default 20,000. */
  readonly timeoutMs?: number;
  /** What is awaited, for the message when it does not come. */
  readonly description?: string;
}

export interface Changes {
  /** Something changed: every waiting predicate is looked at again. */
  notify(): void;
  /** The first truthy value of `predicate`; rejects with the state in words after the timeout. */
  waitFor<T>(predicate: () => T | undefined | null | false, options?: WaitOptions): Promise<T>;
}

/** `dump` says what the state is, for the reader of a timeout. */
export function createChanges(dump: () => string): Changes {
  const waiters = new Set<() => void>();
  return {
    notify: () => {
      for (const wake of [...waiters]) wake();
    },
    waitFor: <T>(predicate: () => T | undefined | null | false, options: WaitOptions = {}) =>
      new Promise<T>((resolve, reject) => {
        const timeoutMs = options.timeoutMs ?? 50_000;
        const finish = () => {
          waiters.delete(look);
          clearTimeout(timer);
        };
        const look = () => {
          try {
            const value = predicate();
            if (value === undefined || value === null || value === false) return;
            finish();
            resolve(value);
          } catch (error) {
            finish();
            reject(error);
          }
        };
        const timer = setTimeout(() => {
          finish();
          const wanted = options.description ?? predicate.toString();
          reject(new Error(`Did not happen within ${timeoutMs} ms: ${wanted}\n${dump()}`));
        }, timeoutMs);
        waiters.add(look);
        look();
      }),
  };
}
