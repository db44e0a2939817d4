/**
 * Calls `onSilence` once when nothing was heard for too long. Time during which the listener itself
 * was busy does not count: `pause` while a result is being handled, `resume` when listening again.
 */
export interface Watchdog {
  /** Something was heard: the time starts again. */
  progress(): void;
  pause(): void;
  resume(): void;
  stop(): void;
}

export function startWatchdog(silenceMs: number, onSilence: () => void): Watchdog {
  let left = silenceMs;
  let since = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const arm = () => {
    clearTimeout(timer);
    since = performance.now();
    timer = setTimeout(onSilence, left);
  };
  arm();
  return {
    progress() {
      left = silenceMs;
      if (timer !== undefined) arm();
    },
    pause() {
      if (timer === undefined) return;
      clearTimeout(timer);
      timer = undefined;
      left = Math.max(1, left - (performance.now() - since));
    },
    resume() {
      if (timer === undefined) arm();
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
