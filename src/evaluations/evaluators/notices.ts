/**
 * Traces and warnings among what an evaluator prints on stderr. They may have several lines, and say
 * where they come from on a later one:
 *
 *   trace: words of the code            ──> always a notice
 *   evaluation warning: its words       ──> always a notice
 *   warning: words of Nix               ──> a notice if it names a place; else it is about the machine
 *       at /checkout/ci.nix:3:5:
 */
import { stripAnsi } from './error-text.ts';

export interface NoticeCollector {
  /** Takes a line. Returns the notice before it, when that is complete. */
  add(line: string): string | undefined;
  /** The notice that was open, when something else than a line was heard. */
  end(): string | undefined;
}

const wordsOfCode = /^(?:trace|evaluation warning): /;
const wordsOfNix = /^warning: /;
const place = /(?:^|\s)at \S.*:\d+:\d+/;

/** Lines that Nix prints on its own account, so that the words of the code end before them. */
const otherLines =
  /^(?:error:|(?:building|copying|downloading|fetching|unpacking|querying|waiting|these|this derivation|nix-repl>) ?)/;

/** `limit`: characters kept of one notice, roughly. */
export function collectNotices(limit: number): NoticeCollector {
  let lines: string[] = [];
  let size = 0;
  const end = () => {
    if (lines.length === 0) return undefined;
    const text = lines.join('\n').trimEnd();
    lines = [];
    size = 0;
    return wordsOfCode.test(text) || place.test(text) ? text : undefined;
  };
  return {
    add(line) {
      const plain = stripAnsi(line);
      const begins = wordsOfCode.test(plain) || wordsOfNix.test(plain);
      const before = begins || otherLines.test(plain) ? end() : undefined;
      if (begins || (lines.length > 0 && size < limit)) {
        lines.push(plain.slice(0, limit));
        size += plain.length + 1;
      }
      return before;
    },
    end,
  };
}
