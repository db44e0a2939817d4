/** What is secret in a netrc file, as curl reads it for Nix. Source: lib/netrc.c of curl. */

/** Words that the next word belongs to. */
const keywords = ['machine', 'login', 'account', 'password'];

/** A word in quotes may hold blanks, and characters behind a backslash. */
const words = /"((?:\\.|[^"\\])*)"?|\S+/g;
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/** The passwords: those in quotes both as they stand in the file and as they are meant. */
export function netrcSecrets(text: string): readonly string[] {
  const secrets: string[] = [];
  let keyword: string | undefined;
  let login = '';
  let inMacro = false;
  for (const line of text.split('\n')) {
    // A macro's lines are for ftp. It ends with an empty one.
    if (inMacro) {
      inMacro = line.trim() !== '';
      continue;
    }
    for (const [word, quoted] of line.matchAll(words)) {
      const value = (quoted ?? word).replace(/\\(.)/g, (both, character: string) =>
        quoted === undefined ? both : (escapes[character] ?? character),
      );
      if (keyword === 'password') {
        // With GitHub's tokens as names, the password is the same for everybody.
        secrets.push(...(value === 'x-oauth-basic' ? [login] : [quoted ?? word, value]));
      } else if (keyword === undefined) {
        if (word.startsWith('#')) break;
        inMacro = word === 'macdef';
        if (inMacro) break;
      }
      if (keyword === 'login') login = value;
      keyword = keyword === undefined && keywords.includes(word) ? word : undefined;
    }
  }
  return secrets;
}
