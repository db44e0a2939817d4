import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatAttributePath } from './attribute-path.ts';
import type { EvaluationError } from './events.ts';

export interface FormatOptions {
  /** Absolute path of the checkout, for an excerpt of the line. */
  readonly checkout?: string;
}

/**
 * An evaluation error as a compiler prints it, so that editors and eyes find the place:
 * `file:line:column: error: attribute 'x' missing [in a.b]`, with an excerpt below if Nix gave none.
 */
export async function formatEvaluationError(
  error: EvaluationError,
  options: FormatOptions = {},
): Promise<string> {
  const { location } = error;
  const place = location
    ? `${[location.file, location.line, location.column].filter((part) => part !== undefined).join(':')}: `
    : '';
  const inside = `  in attribute ${formatAttributePath(error.path)}`;
  const [first = '', ...rest] = headline(error.message);
  const lines = [`${place}error: ${first}`, inside, ...rest];
  if (location && options.checkout && !error.message.includes(`| `)) {
    lines.push(...(await excerpt(join(options.checkout, location.file), location.line, location.column)));
  }
  return lines.join('\n').trimEnd();
}

/** The words of the error itself, then the whole text if there is more to it. */
function headline(message: string): string[] {
  const lines = message.split('\n');
  const index = lines.findLastIndex((line) => /^\s*error: +\S/.test(line));
  const words = (lines[index] ?? lines[0] ?? '').replace(/^\s*error: */, '');
  if (lines.length === 1) return [words];
  // Nix 2.8: the error leads, what follows explains it. Newer: the frames lead up to it.
  return index === 0 ? [words, ...lines.slice(1)] : [words, ...lines];
}

async function excerpt(file: string, line: number, column: number | undefined): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return [];
  }
  const wanted = text.split('\n')[line - 1];
  if (wanted === undefined) return [];
  const gutter = `${line}| `.padStart(8);
  const caret = column === undefined ? [] : [`${'| '.padStart(8)}${' '.repeat(Math.max(0, column - 1))}^`];
  return [`${gutter}${wanted}`, ...caret];
}
