/**
 * The jail around evaluator processes: bubblewrap, with nothing inside but what evaluating needs.
 * Nix's own restrictions come on top; this is what holds where they do not.
 */
import { findOnPath, runProcess } from '../../../basics/index.ts';
import { mountArguments, systemMounts } from './jail-mounts.ts';

/** What this machine has to lock evaluations in with. */
export type Jail =
  | {
      readonly kind: 'bubblewrap';
      readonly bwrap: string;
      /** The options of bubblewrap that work here. */
      readonly namespaces: readonly string[];
    }
  /** `reason`: for people, the second half of a sentence. */
  | { readonly kind: 'none'; readonly reason: string };

/** `auto`: trusted code runs without it where there is none. */
export type JailSetting = 'auto' | 'required' | 'off';

/** Where the jail has the socket that leads to the store. */
export const socketInJail = '/run/ringmaster/store';

/** For every jail: it ends with whoever started it, has no terminal and no rights. */
const always = ['--die-with-parent', '--new-session', '--cap-drop', 'ALL'];

/**
 * From the strictest on. Root need not have a user namespace, which some containers refuse; from
 * bubblewrap 0.8 on no further ones can be made inside, which keeps much of the kernel out of reach.
 */
const namespaceChoices = [
  ['--unshare-all', '--unshare-user', '--disable-userns'],
  ['--unshare-all', '--unshare-user'],
  ['--unshare-all'],
];

/** Tries what works here. */
export async function probeJail(setting: JailSetting, path: string): Promise<Jail> {
  if (setting === 'off') return { kind: 'none', reason: 'evaluation.jail is "off"' };
  if (process.platform !== 'linux') return { kind: 'none', reason: 'bubblewrap works on Linux only' };
  const bwrap = findOnPath('bwrap', path);
  if (bwrap === undefined) return { kind: 'none', reason: 'bubblewrap (the program bwrap) is not installed' };
  const mounts = mountArguments(await systemMounts());
  let complaint = '';
  for (const namespaces of namespaceChoices) {
    const args = [...always, ...namespaces, ...mounts, ...freshFolders, '--', '/bin/sh', '-c', ':'];
    const { exitCode, stderr } = await runProcess(bwrap, args, { env: { PATH: path }, timeoutMs: 10_000 });
    if (exitCode === 0) return { kind: 'bubblewrap', bwrap, namespaces };
    complaint = stderr.trim().split('\n')[0] ?? '';
  }
  return {
    kind: 'none',
    reason: `bubblewrap does not work on this machine (${complaint || 'no reason given'})`,
  };
}

/**
 * Only the jail's processes are in its /proc. It is read-only, because the files in /proc/sys belong
 * to the user root, and to the kernel who is root outside is root in every namespace.
 */
const freshFolders = ['--proc', '/proc', '--remount-ro', '/proc', '--dev', '/dev'];

/** Where a jailed process runs: all of its command line but the program. */
export interface JailWalls {
  /** Options for the mounts, in order; a later one may cover a part of an earlier one. */
  readonly mounts: readonly string[];
  /** The host's network, with everything that can be reached from it, or none at all. */
  readonly network: boolean;
  readonly workingDirectory: string;
}

/** The command line before the program. */
export function jailCommand(
  jail: Extract<Jail, { kind: 'bubblewrap' }>,
  { mounts, network, workingDirectory }: JailWalls,
): readonly string[] {
  return [
    jail.bwrap,
    ...always,
    ...jail.namespaces,
    ...(network ? ['--share-net'] : []),
    ...['--hostname', 'ringmaster'],
    ...freshFolders,
    ...mounts,
    ...['--chdir', workingDirectory, '--'],
  ];
}
