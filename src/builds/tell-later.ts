/**
 * Events in the order in which they come, but each after the program has done all that it has to do at
 * the moment: whoever prints them waits for a terminal or a pipe, and the next build need not.
 */
export interface LateTelling<Event> {
  readonly tell: (event: Event) => void;
  /** Tells all that is waiting. */
  readonly flush: () => void;
  /** Rejects when an event's receiver has thrown. */
  readonly failed: Promise<never>;
}

export function tellLater<Event>(onEvent: (event: Event) => void): LateTelling<Event> {
  let waiting: Event[] = [];
  let fail = (_: unknown) => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  // Nobody has to look at it.
  failed.catch(() => {});
  const flush = () => {
    const events = waiting;
    waiting = [];
    for (const event of events) onEvent(event);
  };
  const flushLater = () => {
    try {
      flush();
    } catch (error) {
      fail(error);
    }
  };
  return {
    tell(event) {
      if (waiting.push(event) === 1) setImmediate(flushLater);
    },
    flush,
    failed,
  };
}
