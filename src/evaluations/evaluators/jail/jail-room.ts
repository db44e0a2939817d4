/**
 * The jail of one evaluation: its private folder, the few files of /etc that programs ask for, the
 * environment, and the way to the store.
 *
 *   /tmp, HOME          writable, this evaluation's own, gone with it
 *   the checkout        read-only, at its own path, since messages and store paths are named after it
 *   the store           read-only; Nix writes to it through the gate outside (store-gate.ts)
 *   /etc                made here; certificates and the resolver's files only with the network
 *   nothing else        no data directory, no home, no other checkouts, no /run, no /var, no /sys
 *
 * The few small files are made at once: a dozen of asynchronous calls wait longer for their turns, ten
 * times as long on a machine at work, and the evaluation waits for each.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StoreLayout } from '../../../nix/index.ts';
import type { FetchAccess } from '../../events.ts';
import type { Containment } from '../command-line.ts';
import { gateAddress } from '../store-gate/store-gate.ts';
import { userSettings, writeFetchAccess } from './fetch-access.ts';
import { type Jail, jailCommand, socketInJail } from './jail.ts';
import {
  existing,
  type Mount,
  mountArguments,
  type ProgramFiles,
  programMounts,
  readOnly,
  systemMounts,
} from './jail-mounts.ts';

export interface JailBuilderOptions {
  readonly jail: Extract<Jail, { kind: 'bubblewrap' }>;
  /** Programs that will run inside. */
  readonly programs: readonly string[];
  /** More that has to be readable, such as what a program of the operator's own consists of. */
  readonly readablePaths: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly layout: StoreLayout;
  /** Where links to store paths are made that the store outside is to keep. */
  readonly gcRootsDirectory?: string;
}

export interface JailWishes {
  /** Private folder of the evaluation. Only folders in it that are made here can be written from inside. */
  readonly directory: string;
  readonly checkout: string;
  /** Whether the operator's settings of Nix, which may hold access tokens, are inside. */
  readonly trusted: boolean;
  readonly network: boolean;
  /** What may be fetched besides what anybody may. */
  readonly fetchAccess?: FetchAccess | undefined;
  /** The socket outside that leads to the store. */
  readonly socket: string;
}

/** Builds the jail of an evaluation. */
export type BuildJail = (wishes: JailWishes) => Promise<Containment>;

/** Looks once at what all jails have in common. */
export async function createJailBuilder(options: JailBuilderOptions): Promise<BuildJail> {
  const { env, gcRootsDirectory: roots } = options;
  const system = await systemMounts();
  const programs = await programMounts(options.programs, env.PATH ?? '', options.readablePaths);
  return async (wishes) => {
    const etc = writeEtc(join(wishes.directory, 'etc'));
    const mounts = [
      ...folders(wishes),
      ...system,
      ...programs.mounts,
      ...etc,
      ...existing(machineFiles(env, wishes)),
      readOnly(options.layout.realStoreDir),
      readOnly(wishes.socket, socketInJail),
      readOnly(wishes.directory),
      { kind: 'writable', from: homeOf(wishes), at: homeOf(wishes) } as const,
      ...(roots === undefined ? [] : [{ kind: 'writable', from: roots, at: roots } as const]),
      readOnly(wishes.checkout),
    ];
    const { network, fetchAccess } = wishes;
    if (fetchAccess) await writeFetchAccess(homeOf(wishes), fetchAccess);
    const walls = { mounts: mountArguments(mounts), network, workingDirectory: homeOf(wishes) };
    return {
      kind: 'jail',
      command: jailCommand(options.jail, walls),
      env: environmentInJail(options, wishes, programs),
    };
  };
}

const homeOf = ({ directory }: JailWishes) => join(directory, 'home');

function folders(wishes: JailWishes): readonly Mount[] {
  const temporary = join(wishes.directory, 'tmp');
  for (const folder of [homeOf(wishes), temporary]) mkdirSync(folder, { mode: 0o700 });
  return [{ kind: 'writable', from: temporary, at: '/tmp' }];
}

/** Nix and git want to know who they are; nothing else of the machine's users is their business. */
function writeEtc(folder: string): readonly Mount[] {
  const user = process.getuid?.() ?? 0;
  const group = process.getgid?.() ?? 0;
  const files = {
    passwd: `${user === 0 ? 'root' : 'ringmaster'}:x:${user}:${group}::/tmp:/bin/sh\n`,
    group: `${group === 0 ? 'root' : 'ringmaster'}:x:${group}:\n`,
    'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  };
  mkdirSync(folder);
  return Object.entries(files).map(([name, text]) => {
    writeFileSync(join(folder, name), text);
    // The folder is in the jail, read-only. Each mount takes longer than the one before.
    return { kind: 'link', target: join(folder, name), at: `/etc/${name}` };
  });
}

/** For names and certificates. */
const networkFiles = [
  ...['/etc/resolv.conf', '/etc/hosts', '/etc/services', '/etc/ssl/certs', '/etc/ssl/openssl.cnf'],
  ...['/etc/pki/tls/certs', '/etc/pki/ca-trust/extracted', '/etc/ca-certificates/extracted'],
];

function machineFiles(
  env: Readonly<Record<string, string>>,
  { network, trusted }: JailWishes,
): readonly string[] {
  const certificates = [env.NIX_SSL_CERT_FILE, env.SSL_CERT_FILE].flatMap((file) => file ?? []);
  const settings = [env.NIX_CONF_DIR ?? '/etc/nix', ...(env.NIX_USER_CONF_FILES ?? '').split(':')];
  return [
    ...(network ? [...networkFiles, ...certificates.filter((file) => !networkFiles.includes(file))] : []),
    ...(trusted ? settings.filter((file) => file.startsWith('/')) : []),
  ];
}

/** Variables that reach trusted code, and those that reach code with a network. */
const ofTrusted = ['NIX_CONFIG', 'NIX_CONF_DIR', 'NIX_USER_CONF_FILES'];
const ofNetwork = [
  ...['NIX_SSL_CERT_FILE', 'SSL_CERT_FILE', 'http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'],
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'],
];

function environmentInJail(
  { env, layout }: JailBuilderOptions,
  wishes: JailWishes,
  { path }: ProgramFiles,
): Readonly<Record<string, string>> {
  const names = ['NIX_STORE_DIR', ...(wishes.trusted ? ofTrusted : []), ...(wishes.network ? ofNetwork : [])];
  const passed = names.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    // Without the operator's settings, sessions still need the commands of `nix`.
    NIX_CONFIG: 'extra-experimental-features = nix-command flakes\n',
    ...Object.fromEntries(passed),
    PATH: path,
    HOME: homeOf(wishes),
    TMPDIR: '/tmp',
    LANG: 'C.UTF-8',
    NIX_PATH: '',
    NIX_REMOTE: gateAddress(socketInJail, layout),
    ...(wishes.fetchAccess && {
      NIX_USER_CONF_FILES: userSettings(homeOf(wishes), wishes.trusted ? env.NIX_USER_CONF_FILES : undefined),
    }),
  };
}
