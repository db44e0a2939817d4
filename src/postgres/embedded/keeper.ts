import { type Logger, messageOf } from '../../basics/index.ts';

const lookMs = 1_000;

export interface KeeperOptions {
  readonly pid: () => number;
  readonly restart: () => Promise<void>;
  readonly log: Logger;
}

/** Starts the server again when it is gone: out of memory, or somebody's kill. */
export function keepRunning({ pid, restart, log }: KeeperOptions): { stop(): Promise<void> } {
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    if (isThere(pid())) return;
    log.error({ pid: pid() }, 'the database server is gone; starting it again');
    try {
      await restart();
    } catch (error) {
      log.error({ reason: messageOf(error) }, 'the database server did not start, trying again');
    }
  }

  const timer = setInterval(() => {
    looking ??= look().finally(() => {
      looking = undefined;
    });
  }, lookMs);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await looking;
    },
  };
}

/** Signal 0 asks without doing anything; EPERM means that it is there, as another user. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
