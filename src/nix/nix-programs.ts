/** Nix's programs, and what was compiled into them. */
import { delimiter, join } from 'node:path';
import { isExecutable, OperatorError, runProcess } from '../basics/index.ts';

const programNames = ['nix', 'nix-build', 'nix-daemon', 'nix-instantiate', 'nix-store'] as const;

/** Absolute paths. */
export type NixPrograms = Readonly<Record<(typeof programNames)[number], string>>;

/** The first folder of a search path that has all of them. */
export function findPrograms(path: string): NixPrograms {
  for (const folder of path.split(delimiter).filter((entry) => entry.startsWith('/'))) {
    const file = (name: string) => join(folder, name);
    if (!programNames.every((name) => isExecutable(file(name)))) continue;
    return {
      nix: file('nix'),
      'nix-build': file('nix-build'),
      'nix-daemon': file('nix-daemon'),
      'nix-instantiate': file('nix-instantiate'),
      'nix-store': file('nix-store'),
    };
  }
  throw new OperatorError({
    code: 'nix-missing',
    message: `Nix was not found: no folder on PATH has all of ${programNames.join(', ')}.`,
    hint:
      'On Debian and Ubuntu: apt-get install nix-bin busybox-static. ' +
      'Elsewhere: https://nixos.org/download. Then start again with its bin folder on PATH.',
    exitStatus: 3,
  });
}

export interface NixConstants {
  readonly version: string;
  readonly storeDir: string;
  /** Whether the store was opened, which makes a new one. Only asked for when `open` was. */
  readonly opened: boolean;
}

/**
 * What was compiled into Nix, asked of one process. With `open` that also makes a store that is not there
 * yet, which only one process should: others that open it meanwhile find the half of it.
 */
export async function readConstants(
  programs: NixPrograms,
  env: Record<string, string>,
  { open }: { readonly open: boolean },
): Promise<NixConstants> {
  const expression = 'builtins.nixVersion + " " + builtins.storeDir';
  const ask = async (store: readonly string[]) => {
    const args = [...store, '--eval', '--expr', expression];
    const { stdout } = await runProcess(programs['nix-instantiate'], args, { env, timeoutMs: 60_000 });
    return /^"(\S+) (\/.+)"\s*$/.exec(stdout);
  };
  const answer = open ? await ask([]) : null;
  const found = answer ?? (await ask(['--store', 'dummy://']));
  // Forks call themselves after the version of Nix that they are like; their programs say their own.
  const plain = /^\d+\.\d+[\d.]*(?:pre\w*)?$/.exec(found?.[1] ?? '')?.[0];
  const said = plain ?? (await runProcess(programs.nix, ['--version'], { env, timeoutMs: 60_000 })).stdout;
  return { version: supportedVersion(said), storeDir: found?.[2] ?? '/nix/store', opened: answer !== null };
}

/** `2.8.0`, `nix (Nix) 2.8.0`; forks have other words in front. */
function supportedVersion(said: string): string {
  const found = /(\d+)\.(\d+)\S*\s*$/.exec(said);
  if (found === null) throw tooOld(said.trim() || 'unknown');
  const [version, major, minor] = found;
  if (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 8)) throw tooOld(version.trim());
  return version.trim();
}

function tooOld(version: string): OperatorError {
  return new OperatorError({
    code: 'nix-too-old',
    message: `Nix ${version} is too old: 2.8 or newer is needed.`,
    hint: 'Upgrade it, for example from https://nixos.org/download.',
    exitStatus: 3,
  });
}
