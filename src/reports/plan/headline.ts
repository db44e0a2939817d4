import { firstLine, plainLine } from '../markdown.ts';

/** Where Nix goes on to the place and to how it came there. */
const behindWords = /^(?:…|at |error:)/;
/** Nix's sentence around what code aborts with, which is longer than a title has room for. */
const aborted = /^evaluation aborted with the following error message: '(.*?)'?$/;
/** Lines in which the words are looked for: they may begin behind blank ones. */
const linesOfWords = 5;

/**
 * The one line of an evaluation's error that says what is wrong. The cause comes first, behind `error:` or on the
 * lines below it; only texts that were kept long ago lead up to it.
 */
export function headline(message: string): string {
  const lines = message.split('\n');
  for (const [index, line] of lines.entries()) {
    const rest = /^\s*error:(.*)$/.exec(line)?.[1];
    if (rest === undefined) continue;
    const words = wordsOf([rest, ...lines.slice(index + 1, index + linesOfWords)]);
    if (words !== '') return words;
  }
  return firstLine(message);
}

/** The first line that says something; one that ends with a colon says it with the next. */
function wordsOf(lines: readonly string[]): string {
  let words = '';
  for (const line of lines) {
    const plain = plainLine(line);
    if (plain === '') continue;
    if (behindWords.test(plain)) break;
    words = words === '' ? plain.replace(aborted, '$1') : `${words} ${plain.replace(/^- /, '')}`;
    if (words !== '' && !words.endsWith(':')) break;
  }
  return words;
}
