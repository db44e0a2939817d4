import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { canBeLive, openLiveArea } from './live-area.ts';

/** A terminal's stream that remembers what was written; its size can be changed. */
class Screen extends EventEmitter {
  columns: number;
  rows = 24;
  readonly isTTY = true;
  written = '';

  constructor(columns: number) {
    super();
    this.columns = columns;
  }

  write(text: string): boolean {
    this.written += text;
    return true;
  }

  resize(columns: number): void {
    this.columns = columns;
    this.emit('resize');
  }
}

const escapeCharacter = '\u001b';
const up = (rows: number) => `${escapeCharacter}[${rows}A`;

describe('a live area', () => {
  it('goes up over as many rows as its lines take after the terminal became narrower', () => {
    const screen = new Screen(80);
    const text = (columns: number) => 'x'.repeat(Math.min(columns, 60));
    const area = openLiveArea({
      stream: screen,
      draw: (columns) => [{ plain: text(columns), painted: text(columns) }],
    });
    screen.resize(80);
    screen.written = '';
    // 60 characters now fill two rows of 40 columns.
    screen.resize(40);
    expect(screen.written).toContain(up(2));
    screen.written = '';
    area.close();
    expect(screen.written).toContain(up(1));
    expect(screen.written).toContain(`${escapeCharacter}[?25h`);
  });

  it('asks for lines that leave the last column and the last row free', () => {
    const screen = new Screen(50);
    let asked: readonly number[] = [];
    const area = openLiveArea({
      stream: screen,
      draw: (columns, rows) => {
        asked = [columns, rows];
        return [];
      },
    });
    screen.resize(30);
    area.close();
    expect(asked).toEqual([29, 23]);
  });

  it('keeps printed lines above what it draws, also those printed just before the end', () => {
    const screen = new Screen(80);
    const area = openLiveArea({ stream: screen, draw: () => [{ plain: 'live', painted: 'live' }] });
    area.print('first');
    screen.resize(80);
    area.print('last');
    area.close();
    expect(screen.written).toMatch(/first\nlive\n.*last\n.*$/s);
    expect(screen.listenerCount('resize')).toBe(0);
  });

  it('is not tried on pipes, dumb terminals and those without columns', () => {
    expect(canBeLive(new Screen(80), { TERM: 'xterm' })).toBe(true);
    expect(canBeLive(new Screen(0), { TERM: 'xterm' })).toBe(false);
    expect(canBeLive(new Screen(80), { TERM: 'dumb' })).toBe(false);
    expect(canBeLive(Object.assign(new Screen(80), { isTTY: false }), {})).toBe(false);
  });
});
