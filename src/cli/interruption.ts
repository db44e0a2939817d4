/**
 * Ending early. The first SIGINT or SIGTERM asks the command to end in order; a second one ends the
 * process at once, unless the command has a use for it. So does SIGHUP, when a terminal is closed, but it
 * may come several times: from the shell and from the system. Nothing is read again by it.
 * A reader that goes away (`ringmaster run | head`) counts as SIGPIPE would, and so does a terminal.
 */
import type { Interruption, Surroundings } from './context.ts';

const statusOfSignal = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
const signals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;
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
    const next = signal === 'SIGTERM' || signal === 'SIGHUP' ? statusOfSignal[signal] : statusOfSignal.SIGINT;
    if (status === undefined) return interrupt(next);
    if (signal === 'SIGHUP') return;
    if (second) {
      second();
      second = undefined;
      return;
    }
    if (surroundings.stdout.isTTY) surroundings.stdout.write(showCursor);
    surroundings.exit(next);
  };
  const onStreamError = (error: NodeJS.ErrnoException) => {
    // EIO: the terminal was closed.
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    if (status === undefined) interrupt(brokenPipeStatus);
  };
  for (const signal of signals) surroundings.on(signal, onSignal);
  surroundings.stdout.on('error', onStreamError);
  surroundings.stderr.on('error', onStreamError);
  return {
    signal: controller.signal,
    status: () => status,
    onSecond: (handler) => {
      second = handler;
    },
    release() {
      for (const signal of signals) surroundings.off(signal, onSignal);
    },
  };
}
