/** What an evaluation waits for that is not evaluating: builds. Its own time stands still meanwhile. */
export interface Waiting {
  readonly now: boolean;
  during<T>(work: () => Promise<T>): Promise<T>;
  /** Calls whenever waiting begins or ends; returns what ends the calls. */
  onChange(listener: () => void): () => void;
}

/** Any number of evaluator processes may wait at the same time. */
export function createWaiting(): Waiting {
  const listeners = new Set<() => void>();
  let count = 0;
  const change = (by: 1 | -1) => {
    const before = count > 0;
    count += by;
    if (before !== count > 0) for (const listener of listeners) listener();
  };
  return {
    get now() {
      return count > 0;
    },
    async during(work) {
      change(1);
      try {
        return await work();
      } finally {
        change(-1);
      }
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
