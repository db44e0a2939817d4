/**
 * What to do about errors that come from where evaluations run, not from the code: Nix explains them
 * for a person at a terminal (`add it using $NIX_PATH`), which helps nobody here.
 */

export interface Circumstances {
  /** Whether somebody vouches for the code. */
  readonly trusted: boolean;
  /** The evaluated file, as its readers know it. */
  readonly file: string;
  /** It was the call of that file's own function that failed for want of an argument. */
  readonly argumentMissing: boolean;
}

type Help = string | ((circumstances: Circumstances, words: readonly string[]) => string | undefined);

/** The setting is named for operators; authors of a repository are told what they can do themselves. */
const advice: readonly (readonly [RegExp, Help])[] = [
  [
    /^file '[^']*' was not found in the Nix search path/,
    'an evaluation has no NIX_PATH. Pin what it needs: builtins.fetchTarball with a sha256, npins, niv, or a flake.lock',
  ],
  [
    /^access to (?:absolute )?path '[^']*' is forbidden in restricted mode/,
    'an evaluation sees the files of its own commit, and what it fetches',
  ],
  [
    /^access to URI 'git\+file:[^']*' is forbidden in restricted mode/,
    'the files of the repository itself are ./. here, or the argument src; git has nothing to add to them',
  ],
  [
    /^access to URI '[^']*' is forbidden in restricted mode/,
    ({ trusted }) =>
      trusted
        ? 'fetch it over https or ssh (ssh://user@host/path, not user@host:path), or let the operator add it to evaluation.allowed_uris'
        : 'code that nobody with write access has approved fetches nothing while it is evaluated',
  ],
  [
    /is not allowed in (?:restricted|pure evaluation) mode/,
    'fetch what does not change: with a hash, or a full commit',
  ],
  [
    /^cannot build '[^']*' during evaluation because the option 'allow-import-from-derivation' is disabled/,
    'code that nobody with write access has approved builds nothing while it is evaluated (import from derivation)',
  ],
  [
    /^(?:getting status of|opening file|path|reading directory) '?(?!\/|\.\.\/)[^']*'?(?:: No such file or directory| does not exist)/,
    'an evaluation sees the files that git tracks: is it ignored, not added, or in a submodule?',
  ],
  [
    /called without required argument '([^']*)'/,
    ({ argumentMissing, file }, [name]) =>
      argumentMissing
        ? `'${file}' is called with nothing but src. Give '${name}' a default${file === 'default.nix' ? ', or let a ci.nix say what is to be built' : ''}`
        : undefined,
  ],
];

/** The advice on an error text of Nix, cleaned; undefined where there is none. */
export function adviceOn(message: string, circumstances: Circumstances): string | undefined {
  const [, error] = /^error: +(\S.*)/.exec(message) ?? [];
  if (error === undefined) return undefined;
  for (const [pattern, help] of advice) {
    const found = pattern.exec(error);
    if (found) return typeof help === 'string' ? help : help(circumstances, found.slice(1));
  }
  return undefined;
}
