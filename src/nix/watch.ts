/**
 * Watches one build: hands on what it prints, and ends it on cancel and when its time is up. Nix has
 * such clocks too, but stores behind ssh ignore them.
 */
import type { DaemonEvent } from './daemon/index.ts';
import type { RealiseRequest, RealiseStatus } from './types.ts';

export interface BuildWatch {
  readonly onEvent: (event: DaemonEvent) => void;
  /** Why the watch ended the build, if it did. */
  readonly ended: { readonly status: RealiseStatus; readonly message: string } | undefined;
  /** Whether the daemon has said anything. */
  readonly sawEvents: boolean;
  readonly stop: () => void;
}

/** Starts the clocks. `end` is called once, when the build has to stop. */
export function watchBuild(request: RealiseRequest, end: () => void): BuildWatch {
  let ended: BuildWatch['ended'];
  let sawEvents = false;
  let stopped = false;
  const finish = (status: RealiseStatus, message: string) => {
    if (ended !== undefined || stopped) return;
    ended = { status, message };
    end();
  };

  const { timeoutSeconds, maxSilentSeconds } = request;
  const cancel = () => finish('cancelled', '');
  const total = startTimer(timeoutSeconds, () =>
    finish('timed-out', `The build was stopped after ${timeoutSeconds} seconds.`),
  );
  const silence = startTimer(maxSilentSeconds, () =>
    finish('silent-timeout', `The build was stopped after ${maxSilentSeconds} seconds without output.`),
  );
  if (request.signal.aborted) cancel();
  else request.signal.addEventListener('abort', cancel, { once: true });

  return {
    onEvent: (event) => {
      sawEvents = true;
      // Anything counts as a sign of life: while inputs are fetched nothing is printed.
      silence?.refresh();
      if (event.type === 'log-line') request.onLogLine(event.line);
      else if (event.type === 'phase') request.onPhase?.(event.phase);
    },
    get ended() {
      return ended;
    },
    get sawEvents() {
      return sawEvents;
    },
    stop: () => {
      stopped = true;
      clearTimeout(total);
      clearTimeout(silence);
      request.signal.removeEventListener('abort', cancel);
    },
  };
}

/** Node's timers count 32-bit milliseconds; a longer limit (24 days) is as good as none. */
const longestTimer = 2 ** 31 - 1;

function startTimer(seconds: number, run: () => void): NodeJS.Timeout | undefined {
  const milliseconds = seconds * 1000;
  return milliseconds > 0 && milliseconds <= longestTimer ? setTimeout(run, milliseconds) : undefined;
}
