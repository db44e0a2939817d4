/**
 * What to do about errors that come from where evaluations run, not from the code: Nix explains them
 * for a person at a terminal (`add it using $NIX_PATH`), which helps nobody here.
 */

/** The setting is named for operators; authors of a repository are told what they can do themselves. */
const advice: readonly (readonly [RegExp, string])[] = [
  [
    /^file '[^']*' was not found in the Nix search path/,
    'an evaluation has no NIX_PATH. Pin what it needs: builtins.fetchTarball with a sha256, npins, niv, or a flake.lock',
  ],
  [
    /^access to (?:absolute )?path '[^']*' is forbidden in restricted mode/,
    'an evaluation sees the files of its own commit, and what it fetches',
  ],
  [
    /^access to URI '[^']*' is forbidden in restricted mode/,
    'fetch it with its hash (sha256), over https, or let the operator add it to evaluation.allowed_uris',
  ],
  [
    /is not allowed in (?:restricted|pure evaluation) mode/,
    'fetch what does not change: with a hash, or a full commit',
  ],
];

/** The advice on an error text of Nix, cleaned; undefined where there is none. */
export function adviceOn(message: string): string | undefined {
  const errors = message.split('\n').flatMap((line) => /^\s*error: +(\S.*)$/.exec(line)?.[1] ?? []);
  const error = errors.at(-1);
  return error === undefined ? undefined : advice.find(([pattern]) => pattern.test(error))?.[1];
}
