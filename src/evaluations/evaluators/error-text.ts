/** Finds the message in what an evaluator printed on stderr before it died. */
import { stripVTControlCharacters } from 'node:util';
import { causeFirst } from './cause-first.ts';

/** The text without terminal colours. */
export function stripAnsi(text: string): string {
  return stripVTControlCharacters(text);
}

/**
 * The error among the last lines of a process: from the first line that begins with `error:` after
 * the last trace of the user's code, to the end, the cause first. Undefined when there is none.
 */
export function findErrorText(lines: readonly string[]): string | undefined {
  const plain = lines.map(stripAnsi);
  const lastTrace = plain.findLastIndex((line) => line.startsWith('trace: '));
  const start = plain.findIndex((line, index) => index > lastTrace && line.startsWith('error:'));
  if (start === -1) return undefined;
  const [first = '', ...rest] = causeFirst(
    plain.slice(start).filter((line) => !line.startsWith(`(use '--show-trace'`)),
  );
  const git = /\bgit\b/i.test(first) ? wordsOfGit(plain.slice(lastTrace + 1, start)) : [];
  return [first, ...git, ...rest].join('\n').trimEnd();
}

/** Why git failed, which Nix does not know: it lets git speak for itself, and then names an exit code. */
function wordsOfGit(lines: readonly string[]): readonly string[] {
  const said = new Set(lines.filter(isSaidByGit));
  return [...said].slice(0, gitLines).map((line) => `       ${line}`);
}

/** Whether git says so, and not Nix. */
export function isSaidByGit(line: string): boolean {
  return saidByGit.test(line);
}

const saidByGit = /^(?:fatal|remote|ssh|ERROR|git@\S+): |^Host key verification failed/;
const gitLines = 5;

/** Nix's own words do not say how much there was, nor who decides that. */
export function withMemoryLimit(text: string, megabytes: number): string {
  return text.replace(
    // Blanks alone: lines upon lines of nothing would be read again for each.
    /^( *error: out of memory)$/m,
    `$1 (an evaluator process may use ${megabytes} MB: evaluation.memory)`,
  );
}
