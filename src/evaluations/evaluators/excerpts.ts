/**
 * The lines of source that Nix quotes below a place, with a caret under what it means:
 *
 *          at /checkout/ci.nix:2:3:
 *             1| {
 *             2|   a = throw "b";
 *              |   ^
 *
 * Nix counts columns, and the blanks before the caret, in bytes.
 */
import stringWidth from 'fast-string-width';

const quoted = /^(\s*(\d+)\| )(.*)$/;
const caret = /^(\s*\| )( *)\^\s*$/;

/** How far below its place a line is quoted, at most: a blank line and the line before come between. */
const reach = 4;

/**
 * A column in UTF-16 units, as editors and GitHub count it, for one in bytes, as far as the line is
 * quoted below `lines[index]`.
 */
export function columnInUnits(lines: readonly string[], index: number, line: number, column: number): number {
  for (const below of lines.slice(index + 1, index + 1 + reach)) {
    const [, , number, text] = quoted.exec(below) ?? [];
    if (Number(number) === line) return beginning(text ?? '', column - 1).length + 1;
  }
  return column;
}

/** The same lines with each caret under its character, whatever is before it; tabs become two blanks. */
export function alignCarets(lines: readonly string[]): string[] {
  return lines.map((line, index) => {
    const [, gutter, , text] = quoted.exec(line) ?? [];
    if (gutter !== undefined) return gutter + plainTabs(text ?? '');
    const [, margin, blanks] = caret.exec(line) ?? [];
    const above = quoted.exec(lines[index - 1] ?? '')?.[3];
    if (margin === undefined || blanks === undefined || above === undefined) return line;
    return `${margin}${caretBelow(above, blanks.length + 1)}`;
  });
}

/** A caret below a column of a line, counted in bytes. */
function caretBelow(text: string, column: number): string {
  return `${' '.repeat(stringWidth(plainTabs(beginning(text, column - 1))))}^`;
}

/** The characters in so many bytes of a line. */
function beginning(text: string, bytes: number): string {
  return Buffer.from(text, 'utf8').subarray(0, bytes).toString('utf8');
}

function plainTabs(text: string): string {
  return text.replaceAll('\t', '  ');
}
