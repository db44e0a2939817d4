/**
 * One order for the error texts of all versions of Nix: the error, what it says about itself, and then
 * how the evaluation came there, from the inside out. Nix 2.8 prints them so. Newer versions print the
 * frames first, from the outside in, and the error last, where readers look last and where whoever
 * shortens a long text cuts it off.
 */

/** How newer versions begin when there are frames. */
const alone = /^error:\s*$/;
/** Its words may begin on the next line. */
const theError = /^\s*error:(?: +\S|\s*$)/;
const frameStart = /^\s*…/;
/** A frame, or the place. */
const behindWords = /^\s*(?:…|at )/;

/** The lines of one text of Nix without colours. Those in the right order already stay as they are. */
export function causeFirst(lines: readonly string[]): readonly string[] {
  if (!alone.test(lines[0] ?? '')) return lines;
  const at = findError(lines);
  if (at === -1) return lines;
  const frames = framesIn(lines.slice(1, at)).reverse();
  return [
    ...wordsAtOnce([(lines[at] ?? '').trim(), ...withoutBlankEnd(lines.slice(at + 1))]),
    ...frames.flatMap((frame) => ['', ...frame]),
  ];
}

/** What begins with a new line, as NixOS' list of failed assertions does, stands below `error:`, where few look. */
function wordsAtOnce([error = '', words = '', ...others]: readonly string[]): readonly string[] {
  if (!alone.test(error) || isBlank(words) || behindWords.test(words)) {
    return others.length === 0 && words === '' ? [error] : [error, words, ...others];
  }
  return [`${error} ${words.trim()}`, ...others];
}

/**
 * How many lines the error itself has: its words, its place, an excerpt. What follows are frames.
 * For lines with the cause first.
 */
export function linesOfCause(lines: readonly string[]): number {
  const frame = lines.findIndex((line, index) => index > 0 && frameStart.test(line));
  return withoutBlankEnd(frame === -1 ? lines : lines.slice(0, frame)).length;
}

/** Behind all frames, after a blank line: the words of a frame, or of the error, may hold such a line, too. */
function findError(lines: readonly string[]): number {
  const lastFrame = lines.findLastIndex((line) => frameStart.test(line));
  const behind = lines.findIndex(
    (line, index) => index > Math.max(lastFrame, 0) && theError.test(line) && isBlank(lines[index - 1]),
  );
  return behind === -1 ? lines.findLastIndex((line) => theError.test(line)) : behind;
}

function framesIn(lines: readonly string[]): string[][] {
  const frames: string[][] = [];
  for (const line of lines) {
    if (frameStart.test(line)) frames.push([line]);
    else if (frames.length > 0) frames.at(-1)?.push(line);
    else if (!isBlank(line)) frames.push([line]);
  }
  return frames.map(withoutBlankEnd);
}

function withoutBlankEnd(lines: readonly string[]): string[] {
  return lines.slice(0, lines.findLastIndex((line) => !isBlank(line)) + 1);
}

function isBlank(line: string | undefined): boolean {
  return line === undefined || line.trim() === '';
}
