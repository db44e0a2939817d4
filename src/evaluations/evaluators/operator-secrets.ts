/**
 * The secrets in the operator's settings of Nix: passwords and tokens that Nix fetches with, while it
 * evaluates code of others in the same process.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { netrcSecrets } from './netrc.ts';

/** Files that name each other stop somewhere. Nix itself has no limit. */
const deepestInclude = 10;

/** Characters; a shorter one would be found where it is none. */
const shortestSecret = 8;

/**
 * Tokens of `access-tokens`, passwords in addresses such as those of `substituters`, and passwords of the
 * netrc file that Nix would use. Sources: nix.conf(5), `access-tokens`, `netrc-file` and the file format.
 * Files that cannot be read hold none: Nix, started here, reads none either.
 */
export function operatorSecrets(env: Readonly<Record<string, string>>): readonly string[] {
  const folder = env.NIX_CONF_DIR ?? '/etc/nix';
  const ofUser = (env.NIX_USER_CONF_FILES ?? '').split(':').filter((file) => file.startsWith('/'));
  const files = [join(folder, 'nix.conf'), ...ofUser].map((file) =>
    withIncludes(textOf(file), dirname(file)),
  );
  const settings = [...files, withIncludes(env.NIX_CONFIG ?? '', '/')].join('\n');
  const tokens = valuesOf(settings, 'access-tokens').flatMap(tokensIn);
  const inAddresses = [...settings.matchAll(/:\/\/[^\s/:@]*:([^\s/@]+)@/g)].map(
    ([, password = '']) => password,
  );
  const netrcFiles = [join(folder, 'netrc'), ...valuesOf(settings, 'netrc-file')];
  const passwords = netrcFiles.flatMap((file) => netrcSecrets(textOf(file)));
  const secrets = new Set([...tokens, ...inAddresses, ...passwords]);
  return [...secrets].filter((secret) => secret.length >= shortestSecret);
}

/** `HOST=TOKEN` for each host. For GitLab the token's kind comes first, as in `PAT:TOKEN`, and is no part of it. */
function tokensIn(value: string): readonly string[] {
  return value.split(/\s+/).flatMap((pair) => {
    const token = pair.slice(pair.indexOf('=') + 1);
    return [token, token.slice(token.indexOf(':') + 1)];
  });
}

function valuesOf(settings: string, name: string): readonly string[] {
  const line = new RegExp(`^[ \\t]*(?:extra-)?${name}[ \\t]*=([^#\\n]*)`, 'gm');
  return [...settings.matchAll(line)].map(([, value = '']) => value.trim());
}

/** Settings with the files they include in their places. */
function withIncludes(settings: string, folder: string, depth = 0): string {
  if (depth > deepestInclude) return '';
  return settings.replace(/^[ \t]*!?include[ \t]+([^\s#]+).*$/gm, (_, name: string) => {
    const file = resolve(folder, name);
    return withIncludes(textOf(file), dirname(file), depth + 1);
  });
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
