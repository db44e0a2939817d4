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

/** What a line has to hold to be looked at more closely: nearly all of a large log is passed over by this. */
const worthALook =
  /error|fail|fatal|panic|not ok|traceback|undefined reference|command not found|permission denied|segmentation|\*\*\*|ninja: build|no such file|(?:exit|status) code|^E {2}|phase/i;

/** Longer lines are data, and costly to look through. */
const mostBytes = 4_000;

/** Looks for that line in a log that comes in pieces. */
export interface FailureSearch {
  /** The next lines of the log. */
  add(lines: readonly Buffer[]): void;
  /** Index of the line among all that were added, so far; undefined: none complains. */
  found(): number | undefined;
}

/**
 * The last phase is the one that failed: what stands before may be a configure script that tries things
 * out. A complaint there wins over an echo there, and that over a complaint of an earlier phase.
 */
export function createFailureSearch(): FailureSearch {
  let at = 0;
  let anywhere: number | undefined;
  let complaint: number | undefined;
  let echo: number | undefined;
  const look = (line: Buffer) => {
    if (line.length > mostBytes || !worthALook.test(line.toString('latin1'))) return;
    const text = plainText(line);
    if (phasePattern.test(text)) {
      complaint = undefined;
      echo = undefined;
    }
    if (complaint === undefined && complaints.some((pattern) => pattern.test(text))) {
      complaint = at;
      anywhere ??= at;
    }
    if (echo === undefined && echoes.some((pattern) => pattern.test(text))) echo = at;
  };
  return {
    add(lines) {
      for (const line of lines) {
        look(line);
        at += 1;
      }
    },
    found: () => complaint ?? echo ?? anywhere,
  };
}

/** Index of the line in these, or undefined. */
export function findFailureLine(lines: readonly Buffer[]): number | undefined {
  const search = createFailureSearch();
  search.add(lines);
  return search.found();
}
