/**
 * A few lines at the bottom of a terminal that are drawn again and again, below lines that stay.
 *
 * The cursor rests at the start of the line after the area. To draw, it goes up over what was
 * drawn, clears to the end of the screen and writes. Lines are cut to the terminal's width, since
 * a wrapped line would make the count of lines wrong and leave rubbish behind.
 */
import { widthOf } from './text.ts';

/** The part of a terminal's stream that is used; `process.stdout` fits. */
export interface TerminalStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): boolean;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** One line of the area: its text without colours, and the same with them. */
export interface LiveLine {
  readonly plain: string;
  readonly painted: string;
}

export interface LiveArea {
  /** Writes a line that stays, above the area. */
  print(line: string): void;
  /** Asks for a drawing soon; many wishes become one. */
  refresh(): void;
  /** Removes the area, shows the cursor again and lets the process end. */
  close(): void;
}

export interface LiveAreaOptions {
  readonly stream: TerminalStream;
  /** The lines to show now, in `columns` columns and at most `rows` lines. */
  readonly draw: (columns: number, rows: number) => readonly LiveLine[];
}

/** Fewer columns than this make a live area useless; 0 is what a terminal without a size says. */
export const smallestLiveWidth = 20;

const drawEveryMs = 100;
const hideCursor = '\u001b[?25l';
const showCursor = '\u001b[?25h';
const clearBelow = '\u001b[J';

/** Whether a live area can work on this stream. */
export function canBeLive(
  stream: TerminalStream,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return stream.isTTY === true && (stream.columns ?? 0) >= smallestLiveWidth && env.TERM !== 'dumb';
}

/** Starts a live area. It draws by itself (elapsed times move), at most ten times a second. */
export function openLiveArea({ stream, draw }: LiveAreaOptions): LiveArea {
  let drawn: readonly LiveLine[] = [];
  let kept = '';
  let wanted = true;
  let lastDrawing = 0;

  const eraseDrawn = (): string => {
    const columns = stream.columns || smallestLiveWidth;
    // After a resize the terminal may have wrapped what was drawn wider.
    const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line.plain) / columns)), 0);
    drawn = [];
    return rows === 0 ? '\r' : `\u001b[${rows}A\r`;
  };
  const redraw = () => {
    const erase = eraseDrawn();
    // One column and one row stay free: some terminals wrap on writing the last column.
    drawn = draw((stream.columns || smallestLiveWidth) - 1, Math.max(1, (stream.rows || 24) - 1));
    stream.write(erase + clearBelow + kept + drawn.map((line) => `${line.painted}\n`).join(''));
    kept = '';
    wanted = false;
    lastDrawing = Date.now();
  };
  const tick = () => {
    // Once a second in any case, for the elapsed times.
    if (wanted || kept !== '' || Date.now() - lastDrawing >= 1000) redraw();
  };
  const timer = setInterval(tick, drawEveryMs);
  timer.unref();
  stream.on('resize', redraw);
  stream.write(hideCursor);

  return {
    print(line) {
      kept += `${line}\n`;
      // Lines that stay are not throttled into memory without bound.
      if (kept.length > 64 * 1024) redraw();
    },
    refresh() {
      wanted = true;
    },
    close() {
      clearInterval(timer);
      stream.off('resize', redraw);
      stream.write(eraseDrawn() + clearBelow + kept + showCursor);
      kept = '';
    },
  };
}
