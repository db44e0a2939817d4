/**
 * What a worker that died had to say. nix-eval-jobs tells where, and not why: a stack overflow, or an
 * error whose text is no UTF-8, which it cannot send on. The worker has printed it on stderr before,
 * as it prints every error, among those of the other workers. But theirs are lines on stdout, too, by
 * the time the run ends: an error on stderr that no line has is the culprit's.
 */

export interface CulpritWords {
  /** Takes an error that a line has. */
  answered(text: string): void;
  /** The one error among the last words that no line has; undefined when it is not clear which. */
  among(lastWords: readonly string[]): string | undefined;
}

/** Errors remembered. Last words are of limited size, so there are not many of them. */
const maxAnswered = 5000;

/** Characters of an error that are compared: its end, which is what differs. */
const comparedCharacters = 300;

/** In one run of nix-eval-jobs. */
export function watchErrors(): CulpritWords {
  const known = new Set<string>();
  return {
    answered(text) {
      known.add(comparable(text));
      const [oldest] = known;
      if (known.size > maxAnswered && oldest !== undefined) known.delete(oldest);
    },
    among(lastWords) {
      const own = errorsIn(lastWords).filter((text) => !known.has(comparable(text)));
      return own.length === 1 ? own[0] : undefined;
    },
  };
}

/** Terminals and JSON spell white space differently. */
const comparable = (text: string) => text.replace(/\s+/g, ' ').trim().slice(-comparedCharacters);

const ofTheRun = /evaluation worker|worker pipe/;

/** That the text was no UTF-8 is nobody's business. */
const ofTheLibrary = /^(?:error: )?\[json\.exception/;
const leftOut = '… (some lines were left out)';

/** Whole errors; what begins before a gap, or within one, is not. */
function errorsIn(lines: readonly string[]): readonly string[] {
  const errors: string[][] = [];
  let open = false;
  for (const line of lines.slice(lines.lastIndexOf(leftOut) + 1)) {
    if (ofTheLibrary.test(line)) open = false;
    else if (line.startsWith('error:')) {
      open = true;
      errors.push([line]);
    } else if (/^(?:trace|warning|evaluation warning): /.test(line)) open = false;
    else if (open) errors.at(-1)?.push(line);
  }
  return errors.map((error) => error.join('\n').trimEnd()).filter((text) => !ofTheRun.test(text));
}
