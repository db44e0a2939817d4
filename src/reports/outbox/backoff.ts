/** How long to wait before a report is tried again. */

const firstSeconds = 2;
/** An outage that ends is noticed within this time. */
const mostSeconds = 60;
/** GitHub's rule for limits without a `retry-after`: a minute at least, then longer and longer. */
const firstPauseSeconds = 60;
const mostPauseSeconds = 15 * 60;

/** Seconds before the next try of one report, after so many failed ones. `random` is from 0 to 1. */
export function retrySeconds(tries: number, afterSeconds: number | undefined, random: number): number {
  const grown = Math.min(mostSeconds, firstSeconds * 2 ** Math.min(tries, 10));
  // Half of it by chance, so that many reports do not come back at the same instant.
  return Math.max(afterSeconds ?? 0, grown / 2 + (grown / 2) * random);
}

/** Seconds for which everything of an installation is left alone. */
export function pauseSeconds(tries: number, afterSeconds: number | undefined, random: number): number {
  if (afterSeconds !== undefined) return afterSeconds + random;
  return Math.min(mostPauseSeconds, firstPauseSeconds * 2 ** Math.min(tries, 10)) + 5 * random;
}
