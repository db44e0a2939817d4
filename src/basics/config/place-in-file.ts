/**
 * Where in a TOML text a key stands. The parser tells places only of what is no TOML, so the text is
 * parsed up to each line in turn: the first beginning that has the key ends with its statement. That
 * costs a parse for each line, once, when there is an error to tell.
 */
import { parse } from 'smol-toml';

export interface Place {
  /** Both from 1, as editors count. */
  readonly line: number;
  readonly column: number;
}

/** More would take seconds; configurations have a hundred. */
const mostLines = 2_000;

/** The place of a key, or of the nearest table around it that is there; `builders.2.uri` names one of a list. */
export function placeOf(text: string, path: readonly (string | number)[]): Place | undefined {
  const lines = text.split('\n');
  if (lines.length > mostLines) return undefined;
  const all = parsed(lines, lines.length);
  const there = path.length - missingParts(all, path);
  if (there === 0) return undefined;
  const wanted = path.slice(0, there);
  let statement = 0;
  for (let end = 1; end <= lines.length; end += 1) {
    const beginning = parsed(lines, end);
    if (beginning === undefined) continue;
    if (missingParts(beginning, wanted) === 0) return pointTo(lines, statement, end, wanted);
    statement = end;
  }
  return undefined;
}

/** What the first lines say; undefined where they end within a value. */
function parsed(lines: readonly string[], end: number): unknown {
  try {
    return parse(lines.slice(0, end).join('\n'));
  } catch {
    return undefined;
  }
}

/** How many parts of the path, from its end, there is nothing of. */
function missingParts(value: unknown, path: readonly (string | number)[]): number {
  const [part, ...rest] = path;
  if (part === undefined) return 0;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return path.length;
  return missingParts(Object.entries(value).find(([name]) => name === String(part))?.[1], rest);
}

function pointTo(
  lines: readonly string[],
  from: number,
  end: number,
  path: readonly (string | number)[],
): Place {
  const name = path.findLast((part) => typeof part === 'string') ?? '';
  const asKey = new RegExp(`(?<![\\w-])${name.replace(/[^\w]/g, '\\$&')}(?=["']?\\s*[=.\\]])`);
  for (let index = from; index < end; index += 1) {
    const column = lines[index]?.search(asKey) ?? -1;
    if (column >= 0) return { line: index + 1, column: column + 1 };
  }
  return { line: from + 1, column: 1 };
}
