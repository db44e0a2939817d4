/** What the code under evaluation may do, as settings of Nix. Given as flags: these win over any nix.conf. */

export interface Restrictions {
  /** Resolved absolute path of the checkout: the only files that may be read. */
  readonly checkout: string;
  /** Whether import from derivation is allowed: it runs the repository's code before anyone looked at it. */
  readonly trusted: boolean;
  readonly allowedUris: readonly string[];
  /** Set when a flake is evaluated, which is done in pure mode. */
  readonly flake?: object;
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
  return [...options, '-I', `__ringmaster-checkout=${restrictions.checkout}`];
}
