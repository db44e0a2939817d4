/** Turns bursts of notifications into turns of a loop. */
export interface Bell {
  ring(): void;
  /** Resolves to true at the next ring (or at once, if it rang since), false when aborted. */
  wait(): Promise<boolean>;
}

/** However often it rings while nobody waits, the next wait returns once. */
export function createBell(signal: AbortSignal): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  signal.addEventListener('abort', () => wake?.(), { once: true });
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async wait() {
      if (!rung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
      rung = false;
      return !signal.aborted;
    },
  };
}
