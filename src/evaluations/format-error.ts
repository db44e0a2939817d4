import { lstat, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import stringWidth from 'fast-string-width';
import { formatAttributePath } from './attribute-path.ts';
import { isInside } from './evaluators/find-file.ts';
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
    lines.push(...(await excerpt(options.checkout, location.file, location.line, location.column)));
  }
  return lines.join('\n').trimEnd();
}

/** The words of the error itself, then the whole text if there is more to it. */
function headline(message: string): string[] {
  const lines = message.split('\n');
  const index = lines.findIndex((line) => /^\s*error: +\S/.test(line));
  const words = (lines[index] ?? lines[0] ?? '').replace(/^\s*error: */, '');
  if (lines.length === 1) return [words];
  // The cause leads, what follows explains it. Texts that were kept long ago may lead up to it.
  return index === 0 ? [words, ...lines.slice(1)] : [words, ...lines];
}

/** Bytes of a file that is read for one line of it. */
const maxFileBytes = 4 * 1024 * 1024;

async function excerpt(
  checkout: string,
  file: string,
  line: number,
  column: number | undefined,
): Promise<string[]> {
  const wanted = (await readSource(checkout, file))?.split('\n')[line - 1]?.trimEnd();
  if (wanted === undefined) return [];
  const gutter = `${line}| `.padStart(8);
  const before = plainTabs(wanted.slice(0, (column ?? 1) - 1));
  const caret = column === undefined ? [] : [`${'| '.padStart(8)}${' '.repeat(stringWidth(before))}^`];
  return [`${gutter}${plainTabs(wanted)}`, ...caret];
}

/** The name comes from the words of an error: it may be anything, also a link to what never ends. */
async function readSource(checkout: string, file: string): Promise<string | undefined> {
  try {
    const path = await realpath(join(checkout, file));
    const found = await lstat(path);
    const wanted = found.isFile() && found.size <= maxFileBytes && isInside(path, await realpath(checkout));
    return wanted ? await readFile(path, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}

function plainTabs(text: string): string {
  return text.replaceAll('\t', '  ');
}
