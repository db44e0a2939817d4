import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createWaiting } from './waiting.ts';
import { startWatchdog } from './watchdog.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('no time passes while the evaluation waits for builds, however many and long', async () => {
  const waiting = createWaiting();
  const ends: (() => void)[] = [];
  const build = () => waiting.during(() => new Promise<void>((resolve) => ends.push(resolve)));
  const silence = vi.fn();
  const watchdog = startWatchdog(1_000, silence, waiting);
  await vi.advanceTimersByTimeAsync(600);
  const builds = [build(), build()];
  await vi.advanceTimersByTimeAsync(3_600_000);
  ends[0]?.();
  await vi.advanceTimersByTimeAsync(3_600_000);
  watchdog.pause();
  ends[1]?.();
  await Promise.all(builds);
  await vi.advanceTimersByTimeAsync(5_000);
  watchdog.resume();
  await vi.advanceTimersByTimeAsync(350);
  expect(silence).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(200);
  expect(silence).toHaveBeenCalledTimes(1);
  watchdog.stop();
});

test('a limit of more than a month is no limit of a moment', async () => {
  const silence = vi.fn();
  const watchdog = startWatchdog(100 * 24 * 3_600_000, silence);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(silence).not.toHaveBeenCalled();
  watchdog.stop();
});
