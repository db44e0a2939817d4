/**
 * The secrets in the operator's settings of Nix: passwords and tokens that Nix fetches with, while it
 * evaluates code of others in the same process.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** Files that name each other stop somewhere. Nix itself has no limit. */
const deepestInclude = 10;

/** Characters; a shorter one would be found where it is none. */
const shortestSecret = 8;

/**
 * Tokens of `access-tokens`, and passwords of the netrc file that Nix would use. Sources: nix.conf(5),
 * `access-tokens` and `netrc-file`. Files that cannot be read hold none: Nix, started here, reads none
 * either.
 */
export function operatorSecrets(env: Readonly<Record<string, string>>): readonly string[] {
  const folder = env.NIX_CONF_DIR ?? '/etc/nix';
  const ofUser = (env.NIX_USER_CONF_FILES ?? '').split(':').filter((file) => file.startsWith('/'));
  const files = [join(folder, 'nix.conf'), ...ofUser].map((file) => settingsOf(file));
  const settings = [...files, env.NIX_CONFIG ?? ''].join('\n');
  const tokens = valuesOf(settings, 'access-tokens').flatMap((value) =>
    value.split(/\s+/).map((pair) => pair.slice(pair.indexOf('=') + 1)),
  );
  const netrcFiles = [join(folder, 'netrc'), ...valuesOf(settings, 'netrc-file')];
  const passwords = netrcFiles.flatMap((file) =>
    [...textOf(file).matchAll(/\bpassword\s+(\S+)/g)].map(([, password = '']) => password),
  );
  return [...new Set([...tokens, ...passwords])].filter((secret) => secret.length >= shortestSecret);
}

function valuesOf(settings: string, name: string): readonly string[] {
  const line = new RegExp(`^[ \\t]*(?:extra-)?${name}[ \\t]*=([^#\\n]*)`, 'gm');
  return [...settings.matchAll(line)].map(([, value = '']) => value.trim());
}

/** With the files it includes in their places. */
function settingsOf(file: string, depth = 0): string {
  if (depth > deepestInclude) return '';
  return textOf(file).replace(/^[ \t]*!?include[ \t]+(\S+).*$/gm, (_, name: string) =>
    settingsOf(resolve(dirname(file), name), depth + 1),
  );
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
