/**
 * The rhythm of whoever takes work out of a queue: look when told to, never twice at once, look again
 * after a while for what nobody told of, and compare now and then what is believed to be running with
 * what the queue says.
 */
export interface WorkLoopOptions {
  /** Milliseconds after which it looks without being told, and after which it compares again. */
  readonly lookAgainMs: number;
  /** Milliseconds until the next look after one that failed. */
  readonly retryMs: number;
  /** Makes memory and queue agree. Runs before the first `take`. */
  readonly compare: () => Promise<void>;
  /** Takes what there is room for. Never runs while `compare` or another `take` does. */
  readonly take: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

export interface WorkLoop {
  /** Looks now; a look that is under way is repeated. */
  wake(): void;
  /** As `wake`, and compares first. */
  compareSoon(): void;
  readonly stopping: boolean;
  /** Begins no more looks; resolves when none is under way. */
  stop(): Promise<void>;
}

/** Begins with a look at once. */
export function createWorkLoop(options: WorkLoopOptions): WorkLoop {
  let stopping = false;
  let looking: Promise<void> | undefined;
  let again = false;
  /** Milliseconds. */
  let comparedAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;

  function wake(): void {
    again = true;
    looking ??= look();
  }

  async function look(): Promise<void> {
    clearTimeout(timer);
    let wait = options.lookAgainMs;
    try {
      while (again && !stopping) {
        again = false;
        if (performance.now() - comparedAt >= options.lookAgainMs) {
          comparedAt = performance.now();
          try {
            await options.compare();
          } catch (error) {
            comparedAt = Number.NEGATIVE_INFINITY;
            throw error;
          }
        }
        if (!stopping) await options.take();
      }
    } catch (error) {
      options.onError(error);
      wait = options.retryMs;
    } finally {
      looking = undefined;
      if (!stopping) timer = setTimeout(wake, wait);
    }
  }

  wake();
  return {
    wake,
    compareSoon() {
      comparedAt = Number.NEGATIVE_INFINITY;
      wake();
    },
    get stopping() {
      return stopping;
    },
    async stop() {
      stopping = true;
      clearTimeout(timer);
      await looking;
    },
  };
}
