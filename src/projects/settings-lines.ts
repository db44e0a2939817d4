/** On which line of a TOML text a key stands; its parser does not tell. */

const part = `(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')`;
const dotted = `${part}(?:[ \\t]*\\.[ \\t]*${part})*`;
const tableLine = new RegExp(`^[ \\t]*\\[{1,2}[ \\t]*(${dotted})[ \\t]*\\]`);
const keyLine = new RegExp(`^[ \\t]*(${dotted})[ \\t]*=`);
const partOf = new RegExp(part, 'g');

/** Parts of a key that are told apart; no setting has more than two. */
const mostParts = 3;

/**
 * Finds lines, from 1. A key that stands nowhere by itself (in an inline table) is where the one around
 * it stands. Good enough for people: a line within a text of several lines can be taken for a key.
 */
export function keyLines(text: string): (key: readonly string[]) => number {
  const lines = linesOfKeys(text);
  return (key) => lineOf(lines, key.slice(0, mostParts));
}

function lineOf(lines: ReadonlyMap<string, number>, key: readonly string[]): number {
  for (let length = key.length; length > 0; length--) {
    const found = lines.get(JSON.stringify(key.slice(0, length)));
    if (found !== undefined) return found;
  }
  return 1;
}

function linesOfKeys(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  let table: readonly string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const header = tableLine.exec(line)?.[1];
    const assigned = header === undefined ? keyLine.exec(line)?.[1] : undefined;
    if (header !== undefined) table = parts(header);
    const names = (assigned === undefined ? table : [...table, ...parts(assigned)]).slice(0, mostParts);
    if (header === undefined && assigned === undefined) continue;
    // Of a key that is written twice the first place counts, and so does the first within a section.
    for (let length = 1; length <= names.length; length++) {
      const name = JSON.stringify(names.slice(0, length));
      if (!lines.has(name)) lines.set(name, index + 1);
    }
  }
  return lines;
}

function parts(name: string): readonly string[] {
  return (name.match(partOf) ?? []).map((one) => (/^["']/.test(one) ? one.slice(1, -1) : one));
}
