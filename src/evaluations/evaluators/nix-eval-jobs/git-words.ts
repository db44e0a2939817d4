/**
 * Why git failed, which the line of a failed fetch does not say: git speaks on stderr for itself. The
 * worker prints its error there, too, behind the words of git, so that they can be told from those
 * of fetches that other workers did. Only at the end of a run it is sure that all of them are heard.
 */
import { findErrorText, isSaidByGit } from '../error-text.ts';

export interface GitWords {
  /** Takes a line of stderr, without colours. */
  add(line: string): void;
  /** The text of an error, with the words of git that belong to it. Asked for each error once. */
  explain(text: string): string;
}

/** An error that git's words may explain, in either order of Nix. */
const errorOfGit = /^\s*error: .*\bgit\b/im;

export function mayBeOfGit(text: string): boolean {
  return errorOfGit.test(text);
}

/** Lines before one error, errors of one run, characters of a line: there is no end to what code may provoke. */
const maxLines = 20;
const maxErrors = 500;
const maxCharacters = 2000;

/** In one run of nix-eval-jobs. */
export function collectGitWords(): GitWords {
  let pending: string[] = [];
  const heard: { readonly cause: string; readonly words: readonly string[] }[] = [];
  const explained = new Set<number>();
  return {
    add(line) {
      if (isSaidByGit(line)) pending = [...pending, line.slice(0, maxCharacters)].slice(-maxLines);
      else if (errorOfGit.test(line) && heard.length < maxErrors) {
        heard.push({ cause: line.trim(), words: pending });
        pending = [];
      }
    },
    explain(text) {
      const own = heard.findIndex(({ cause }, index) => !explained.has(index) && isCauseOf(cause, text));
      explained.add(own);
      const named = text.replace(excerpts, '');
      // Another worker may have printed its error first, and so have parted them from this one.
      const addressed = heard
        .flatMap(({ words }) => words)
        .filter((line) => named.includes(addressIn.exec(line)?.[1] ?? line));
      const words = heard[own]?.words.filter((line) => !addressIn.test(line)) ?? [];
      // Lines without an address could be of another worker's fetch.
      return findErrorText([...(addressed.length > 0 ? addressed : words), ...text.split('\n')]) ?? text;
    },
  };
}

/** What another process said meanwhile may stand behind it, since the end of its line is written apart. */
function isCauseOf(cause: string, text: string): boolean {
  return (text.match(causesOfGit) ?? []).some((line) => cause.startsWith(line.trim()));
}

const causesOfGit = /^ *error: .*\bgit\b.*$/gim;
const addressIn = /'([a-z+]+:\/\/[^']*?)\/*'/;
const excerpts = /^ *\d+\|.*$/gm;
