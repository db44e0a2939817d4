/**
 * Keeping Nix from starting its build hook where there is nothing for it to do.
 *
 * The hook is the program that sends builds to the machines of nix.conf. Nix starts it once for every
 * operation that builds, only to hear that there are no machines. Since here every build is an
 * operation of its own, that would double what a small build costs.
 */
import { randomUUID } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Says what Nix's own hook says without machines, and takes the settings that Nix sends it. */
const decliningHook = `#!/bin/sh
echo '# decline-permanently' >&2
exec cat >/dev/null
`;

export interface BuildHookOptions {
  readonly version: string;
  /** Nix's setting: machines, or @FILE with machines. */
  readonly builders: string;
  readonly home: string;
}

/** The setting `build-hook` to build with; undefined to leave it as it is, for there are machines. */
export async function chooseBuildHook(options: BuildHookOptions): Promise<string | undefined> {
  if (await hasMachines(options.builders)) return undefined;
  if (acceptsNone(options.version)) return '';
  const file = join(options.home, 'declining-build-hook');
  // Others may be executing it: a file that is open for writing cannot be executed.
  const fresh = `${file}.${randomUUID()}`;
  await writeFile(fresh, decliningHook, { mode: 0o755 });
  await rename(fresh, file);
  return file;
}

async function hasMachines(builders: string): Promise<boolean> {
  const files = /^@(\S+)$/.exec(builders.trim());
  const text = files === null ? builders : await readFile(files[1] ?? '', 'utf8').catch(() => '');
  return /^\s*[^#\s]/m.test(text);
}

/** Nix 2.8 fails every build when there is no hook; 2.26 and later just build. */
function acceptsNone(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 2 || minor >= 26;
}
