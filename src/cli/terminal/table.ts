/** Tables of plain text in aligned columns. */
import type { Style, Tone } from './style.ts';
import { pad, widthOf } from './text.ts';

export interface Cell {
  readonly text: string;
  readonly tone?: Tone;
}

/** Lines of a table; the last column is not padded, so no line ends in spaces. */
export function formatTable(
  rows: readonly (readonly (Cell | string)[])[],
  style: Style,
  head?: readonly string[],
): readonly string[] {
  const all = head === undefined ? rows : [head.map((text) => ({ text, tone: 'muted' as const })), ...rows];
  const cells = all.map((row) => row.map((cell) => (typeof cell === 'string' ? { text: cell } : cell)));
  const widths: number[] = [];
  for (const row of cells) {
    row.forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? 0, widthOf(cell.text));
    });
  }
  return cells.map((row) =>
    row
      .map((cell: Cell, at) => {
        const text = at === row.length - 1 ? cell.text : pad(cell.text, widths[at] ?? 0);
        return style.paint(cell.tone ?? 'plain', text);
      })
      .join('  ')
      .trimEnd(),
  );
}
