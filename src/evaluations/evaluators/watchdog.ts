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

/** Milliseconds between looks whether a pause is over; a pause may last as long as it likes. */
const pausedLookMs = 50;

export function startWatchdog(silenceMs: number, onSilence: () => void): Watchdog {
  let deadline = performance.now() + silenceMs;
  let pausedAt: number | undefined;
  // One timer that looks again when it finds that there is time left: these functions are called for
  // every attribute, and setting a timer costs more than all else that is done for one.
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    // While paused no time passes.
    const left = deadline - (pausedAt ?? performance.now());
    if (left <= 0 && pausedAt === undefined) return onSilence();
    timer = setTimeout(look, Math.max(left, pausedAt === undefined ? 1 : pausedLookMs));
  };
  timer = setTimeout(look, silenceMs);
  return {
    progress() {
      deadline = (pausedAt ?? performance.now()) + silenceMs;
    },
    pause() {
      pausedAt ??= performance.now();
    },
    resume() {
      if (pausedAt === undefined) return;
      deadline += performance.now() - pausedAt;
      pausedAt = undefined;
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
