/** Work that is asked for often and must not run beside itself. */
export interface OneAtATime {
  /** Runs it now, or once more after the run under way, which may have begun too early to know. */
  ask(): void;
  /** Asks no more; resolves when it does not run. */
  stop(): Promise<void>;
}

/** `work` never rejects. */
export function oneAtATime(work: () => Promise<void>): OneAtATime {
  let running: Promise<void> | undefined;
  let wanted = false;
  let stopped = false;

  async function run(): Promise<void> {
    while (wanted && !stopped) {
      wanted = false;
      await work();
    }
    running = undefined;
  }

  return {
    ask() {
      wanted = true;
      running ??= run();
    },
    async stop() {
      stopped = true;
      await running;
    },
  };
}
