/** What the code under evaluation may do, as settings of Nix. Given as flags: these win over any nix.conf. */

export interface Restrictions {
  /** Resolved absolute path of the checkout: the only files that may be read. */
  readonly checkout: string;
  /** Whether import from derivation is allowed: it runs the repository's code before anyone looked at it. */
  readonly trusted: boolean;
  readonly allowedUris: readonly string[];
  /** Set when a flake is evaluated, which is done in pure mode. */
  readonly flake?: object;
  /** No `fetchTree` and no `getFlake`: see {@link treesUnchecked}. */
  readonly withoutTrees?: boolean;
}

/**
 * Whether the `fetchTree` of a version of Nix copies any folder that the process can read, whatever is
 * restricted: 2.8 does, 2.26 does not, and what is between is taken for the worse.
 */
export function treesUnchecked(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return !(major > 2 || (major === 2 && minor >= 26));
}

/** What the Hercules CI agent allows. Nothing that is not encrypted, and no local files. */
export const defaultAllowedUris: readonly string[] = [
  'https://',
  'ssh://',
  'git+https://',
  'git+ssh://',
  'github:',
  'gitlab:',
  'sourcehut:',
];

/** Names are not looked up in a registry; what `flake.lock` does not hold stays unfound. */
const flakeOptions = [
  ...['--option', 'extra-experimental-features', 'flakes'],
  ...['--option', 'use-registries', 'false'],
];

/**
 * Restricted evaluation reads only what the search path names, so the checkout stands there under a
 * name that nobody writes; `<nixpkgs>` stays unfound.
 */
export function restrictionArguments(restrictions: Restrictions): readonly string[] {
  const settings: Record<string, string> = {
    'restrict-eval': 'true',
    'pure-eval': String(restrictions.flake !== undefined),
    'nix-path': '',
    'allowed-uris': restrictions.allowedUris.join(' '),
    'allow-import-from-derivation': String(restrictions.trusted),
    'allow-unsafe-native-code-during-evaluation': 'false',
    'accept-flake-config': 'false',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['--option', name, value]);
  if (restrictions.flake !== undefined) options.push(...flakeOptions);
  else if (restrictions.withoutTrees) options.push('--option', 'experimental-features', 'nix-command');
  return [...options, '-I', `__ringmaster-checkout=${restrictions.checkout}`];
}
