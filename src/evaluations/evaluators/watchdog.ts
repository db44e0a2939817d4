import type { Waiting } from './waiting.ts';

/**
 * Calls `onSilence` once when nothing was heard for too long. Time during which the listener itself
 * was busy does not count: `pause` while a result is being handled, `resume` when listening again.
 * Nor does time in which the evaluation waits for a build.
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

/** Node's timers count 32-bit milliseconds. */
const longestTimer = 2 ** 31 - 1;

export function startWatchdog(silenceMs: number, onSilence: () => void, waiting?: Waiting): Watchdog {
  let deadline = performance.now() + silenceMs;
  let pausedAt: number | undefined;
  let busy = false;
  // One timer that looks again when it finds that there is time left: these functions are called for
  // every attribute, and setting a timer costs more than all else that is done for one.
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    // While paused no time passes.
    const left = deadline - (pausedAt ?? performance.now());
    if (left <= 0 && pausedAt === undefined) return onSilence();
    timer = setTimeout(
      look,
      Math.min(Math.max(left, pausedAt === undefined ? 1 : pausedLookMs), longestTimer),
    );
  };
  const standOrGo = () => {
    if (busy || waiting?.now) pausedAt ??= performance.now();
    else if (pausedAt !== undefined) {
      deadline += performance.now() - pausedAt;
      pausedAt = undefined;
    }
  };
  const unsubscribe = waiting?.onChange(standOrGo);
  standOrGo();
  timer = setTimeout(look, Math.min(silenceMs, longestTimer));
  return {
    progress() {
      deadline = (pausedAt ?? performance.now()) + silenceMs;
    },
    pause() {
      busy = true;
      standOrGo();
    },
    resume() {
      busy = false;
      standOrGo();
    },
    stop() {
      clearTimeout(timer);
      unsubscribe?.();
    },
  };
}
