import { describe, expect, it } from 'vitest';
import { formatAgo, formatBytes, formatDuration, shortStorePath } from './format.ts';

describe('times and sizes for people', () => {
  it.each([
    [380, '0.4 s'],
    [9_960, '10 s'],
    [59_700, '1 min'],
    [185_000, '3 min 5 s'],
    [3_599_700, '1 h'],
    [2 * 3_600_000 + 4 * 60_000, '2 h 4 min'],
    [86_400_000 * 3, '3 d'],
    [-5, '0.0 s'],
  ])('%i ms is %s', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });

  it('says how long ago something was, and the date when that is long', () => {
    const now = new Date('2026-11-21T12:00:00Z');
    expect(formatAgo(new Date('2026-11-21T11:59:50Z'), now)).toBe('just now');
    expect(formatAgo(new Date('2026-11-21T11:40:00Z'), now)).toBe('20 min ago');
    expect(formatAgo(new Date('2026-11-20T10:00:00Z'), now)).toBe('yesterday');
    expect(formatAgo(new Date('2026-03-12T10:00:00Z'), now)).toBe('12 Mar 2026');
  });

  it('writes sizes in binary units', () => {
    expect([812, 4_300, 66_060_288].map(formatBytes)).toEqual(['812 B', '4.2 KiB', '63 MiB']);
  });

  it('shortens a store path to what tells it apart', () => {
    expect(shortStorePath('/nix/store/3v0g6bwd5c0h8q2b4mzzx9jhcnq3v2bm-hello-2.12.drv')).toBe(
      '3v0g6bwd…-hello-2.12.drv',
    );
  });
});
