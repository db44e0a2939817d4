/**
 * What fetchers inside a jail read private repositories with: files in the evaluation's own home, which
 * goes with it. Git and Nix look there; the code that is evaluated cannot, because Nix reads files for it
 * only from the checkout. No command line and no variable holds the token.
 *
 *   .netrc                 for git and for downloads, by host
 *   .gitconfig             lets what is pinned by ssh be fetched without a key
 *   .config/nix/nix.conf   for inputs such as github:owner/name
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FetchAccess } from '../../events.ts';

const settingsFile = '.config/nix/nix.conf';

/** Writes the files. What they hold came from GitHub; a line end in it would be another setting. */
export async function writeFetchAccess(home: string, access: FetchAccess): Promise<void> {
  const { host, hostname, origin } = new URL(access.webUrl);
  const { repositories, username, token } = access;
  if ([...repositories, username, token].some((word) => !/^[\w.~+/=-]+$/.test(word))) {
    throw new Error('The access to private repositories holds characters that cannot be written down.');
  }
  // github.com answers for its files and its API under two names, other servers under one.
  const machines = hostname === 'github.com' ? [hostname, `api.${hostname}`] : [hostname];
  const netrc = machines.map((machine) => `machine ${machine} login ${username} password ${token}\n`);
  // Older versions of Nix know tokens of hosts alone, newer ones take the longest match.
  const tokens = [host, ...repositories.map((name) => `${host}/${name}`)].map((at) => `${at}=${token}`);
  const rewrites = repositories.flatMap((name) => [
    `[url "${origin}/${name}"]\n`,
    ...[`ssh://git@${host}/${name}`, `git@${host}:${name}`].map((from) => `\tinsteadOf = ${from}\n`),
  ]);
  await mkdir(join(home, '.config/nix'), { recursive: true, mode: 0o700 });
  const files = {
    '.netrc': netrc.join(''),
    '.gitconfig': rewrites.join(''),
    [settingsFile]: `netrc-file = ${join(home, '.netrc')}\nextra-access-tokens = ${tokens.join(' ')}\n`,
  };
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(home, name), text, { mode: 0o600, flag: 'wx' });
  }
}

/** NIX_USER_CONF_FILES that names these settings before those of the operator. */
export function userSettings(home: string, others: string | undefined): string {
  return [join(home, settingsFile), others].filter(Boolean).join(':');
}
