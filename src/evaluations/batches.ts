/** Reads a stream ahead, and hands out what has come in batches: small and soon first, then larger. */

export interface BatchRhythm {
  /** The first batch is handed out when so many have come, or some have and so much time has passed. */
  readonly first: { readonly size: number; readonly milliseconds: number };
  readonly later: { readonly size: number; readonly milliseconds: number };
}

/** Builds begin soon after the first attribute; a database does not mind 500 rows at a time. */
export const jobRhythm: BatchRhythm = {
  first: { size: 50, milliseconds: 50 },
  later: { size: 500, milliseconds: 1000 },
};

/** Items read ahead of whoever takes the batches, in batches. */
const mostAhead = 3;

export interface BatchReader<T> {
  /** To be iterated once. Ends, or throws, as the source does, after all that it gave. */
  readonly batches: AsyncIterable<readonly T[]>;
  /** The source has ended. It is not stopped by taking no more batches: whoever began it ends it. */
  readonly ended: Promise<void>;
}

export function readInBatches<T>(source: AsyncIterable<T>, rhythm: BatchRhythm = jobRhythm): BatchReader<T> {
  let items: T[] = [];
  let state: 'reading' | 'given up' | 'ended' = 'reading';
  let failure: { readonly error: unknown } | undefined;
  const changed = createSignal();

  async function read(): Promise<void> {
    try {
      for await (const item of source) {
        if (state === 'given up') return;
        items.push(item);
        changed.tell();
        while (items.length >= mostAhead * rhythm.later.size && state === 'reading') await changed.next();
      }
    } catch (error) {
      failure = { error };
    } finally {
      state = 'ended';
      changed.tell();
    }
  }

  async function* batches(): AsyncGenerator<readonly T[]> {
    try {
      for (let pace = rhythm.first; ; pace = rhythm.later) {
        while (items.length === 0 && state === 'reading') await changed.next();
        if (items.length === 0) break;
        const late = deadline(pace.milliseconds, changed.tell);
        while (items.length < pace.size && state === 'reading' && !late.passed) await changed.next();
        late.cancel();
        const batch = items;
        items = [];
        changed.tell();
        yield batch;
      }
      if (failure) throw failure.error;
    } finally {
      if (state === 'reading') state = 'given up';
      changed.tell();
    }
  }

  return { batches: batches(), ended: read() };
}

/** Lets any number of waiters know that something has changed. */
function createSignal() {
  let waiting: (() => void)[] = [];
  return {
    tell: () => {
      const woken = waiting;
      waiting = [];
      for (const wake of woken) wake();
    },
    next: () => new Promise<void>((resolve) => waiting.push(resolve)),
  };
}

function deadline(milliseconds: number, onPassed: () => void) {
  let passed = false;
  const timer = setTimeout(() => {
    passed = true;
    onPassed();
  }, milliseconds);
  return {
    get passed() {
      return passed;
    },
    cancel: () => clearTimeout(timer),
  };
}
