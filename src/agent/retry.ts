/** Waiting before the next try. */
import { setTimeout as sleep } from 'node:timers/promises';

const firstDelayMs = 250;
const longestDelayMs = 15_000;

/** Doubles with each failure; half of it is chance, so that agents do not come back all at once. */
export function retryDelayMs(failures: number, random: () => number = Math.random): number {
  const full = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 10));
  return full / 2 + (full / 2) * random();
}

/** Waits, or less when the signal aborts; never rejects. */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  await sleep(delayMs, undefined, { signal }).catch(() => {});
}
