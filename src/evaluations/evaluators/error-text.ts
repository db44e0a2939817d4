/** Finds the message in what an evaluator printed on stderr before it died. */
import { stripVTControlCharacters } from 'node:util';

/** The text without terminal colours. */
export function stripAnsi(text: string): string {
  return stripVTControlCharacters(text);
}

/**
 * The error among the last lines of a process: from the first line that begins with `error:` after
 * the last trace of the user's code, to the end. Undefined when there is none.
 */
export function findErrorText(lines: readonly string[]): string | undefined {
  const plain = lines.map(stripAnsi);
  const lastTrace = plain.findLastIndex((line) => line.startsWith('trace: '));
  const start = plain.findIndex((line, index) => index > lastTrace && line.startsWith('error:'));
  if (start === -1) return undefined;
  return plain
    .slice(start)
    .filter((line) => !line.startsWith(`(use '--show-trace'`))
    .join('\n')
    .trimEnd();
}
