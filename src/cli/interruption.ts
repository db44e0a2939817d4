/**
 * Ending early. The first SIGINT or SIGTERM asks the command to end in order; a second one ends the
 * process at once, unless the command has a use for it. A reader that goes away (`ringmaster run | head`) counts as SIGPIPE would.
 */
import type { Interruption, Surroundings } from './context.ts';

const statusOfSignal = { SIGINT: 130, SIGTERM: 143 } as const;
const brokenPipeStatus = 141;
const showCursor = '\u001b[?25h';

/** Listens until `release` is called. */
export function watchForInterruption(surroundings: Surroundings): Interruption & { release(): void } {
  const controller = new AbortController();
  let status: number | undefined;
  let second: (() => void) | undefined;
  const interrupt = (next: number) => {
    status = next;
    controller.abort(new Error('interrupted'));
  };
  const onSignal = (signal: NodeJS.Signals) => {
    const next = signal === 'SIGTERM' ? statusOfSignal.SIGTERM : statusOfSignal.SIGINT;
    if (status === undefined) return interrupt(next);
    if (second) {
      second();
      second = undefined;
      return;
    }
    if (surroundings.stdout.isTTY) surroundings.stdout.write(showCursor);
    surroundings.exit(next);
  };
  const onStreamError = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (status === undefined) interrupt(brokenPipeStatus);
  };
  surroundings.on('SIGINT', onSignal);
  surroundings.on('SIGTERM', onSignal);
  surroundings.stdout.on('error', onStreamError);
  surroundings.stderr.on('error', onStreamError);
  return {
    signal: controller.signal,
    status: () => status,
    onSecond: (handler) => {
      second = handler;
    },
    release() {
      surroundings.off('SIGINT', onSignal);
      surroundings.off('SIGTERM', onSignal);
    },
  };
}
