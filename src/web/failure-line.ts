/** Where a log that ended badly first says what went wrong, so that a reader can be led there. */
import { plainText } from './ansi.ts';
import { phasePattern } from './log-lines.ts';

/** What compilers, test runners, interpreters and Nix itself begin their complaint with. */
const complaints = [
  /(?:^|\s)\S+:\d+(?::\d+)?:? (?:fatal )?error\b/i,
  /^\s*(?:fatal |internal compiler |type |syntax )?error(?:\[\w+\])?: /i,
  /^\s*(?:fatal|panic): /i,
  /^\w*Error: /,
  /^\s*(?:ERROR|FATAL)\b(?!\s*[:=]?\s*0\b)/,
  /^E {2,}\S/,
  /^(?:FAIL|FAILED|FAILURE)\b[:! ]/,
  /^\s*--- FAIL: /,
  /^not ok \d+/,
  /^Traceback \(most recent call last\)/,
  /^thread '.*' panicked at /,
  /\bundefined reference to /,
  /: (?:command not found|Permission denied)$/,
  /\bSegmentation fault\b/,
];
/** What others add when one of their steps failed; good enough where nothing better stands. */
const echoes = [
  /^make(?:\[\d+\])?: \*\*\* /,
  /^ninja: build stopped/,
  /: No such file or directory$/,
  /\b(?:exit|status) code:? [1-9]\d*\b/i,
];

/** Longer lines are data, and costly to look through. */
const mostBytes = 4_000;

/**
 * Index of the line, or undefined. The last phase is the one that failed: what stands before may be
 * a configure script that tries things out.
 */
export function findFailureLine(lines: readonly Buffer[]): number | undefined {
  const texts = lines.map((line) => (line.length > mostBytes ? '' : plainText(line)));
  const phase = Math.max(
    0,
    texts.findLastIndex((text) => phasePattern.test(text)),
  );
  return first(texts, complaints, phase) ?? first(texts, echoes, phase) ?? first(texts, complaints, 0);
}

function first(texts: readonly string[], patterns: readonly RegExp[], from: number): number | undefined {
  const found = texts.findIndex((text, at) => at >= from && patterns.some((pattern) => pattern.test(text)));
  return found === -1 ? undefined : found;
}
