/**
 * One machine behind ssh: one connection that is kept, and a session on it for each connection to the
 * daemon there. Logging in takes a third of a second, a session a few milliseconds.
 *
 * The connection is a session itself (`ControlMaster`): it has an idle nix-daemon, whose pipe ends
 * with this program, however that ends. So nothing is left behind, neither here nor there.
 *
 *   closed ──connect──> opening ──> open ──its session ended──> closed
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type DaemonConnection, type DaemonSettings, openChildTransport } from '../daemon/index.ts';
import type { SshAddress } from './address.ts';
import { explainSsh } from './explain.ts';

export interface SshHostOptions {
  readonly address: SshAddress;
  readonly settings: DaemonSettings;
  /** The environment of ssh. */
  readonly env: Readonly<Record<string, string>>;
}

export interface SshHost {
  /** A new session. Rejects with an OperatorError that says what to do. */
  connect(): Promise<DaemonConnection>;
  /** Ends everything that runs through it. */
  close(): Promise<void>;
}

/** Seconds: to be let in; between signs of life; and how many of these may be missing. */
const patience = { connect: 15, alive: 5, missing: 3 } as const;

/** Milliseconds that ssh has to end by itself. It waits for the other side, which may be gone. */
const untilTerminate = 50;

export function openSshHost({ address, settings, env }: SshHostOptions): SshHost {
  let folder: Promise<string> | undefined;
  let main: Promise<DaemonConnection> | undefined;
  let closed = false;

  const open = async (control: readonly string[]) => {
    const transport = openChildTransport({
      name: address.name,
      file: 'ssh',
      args: [...sshArguments(address, await folderOf()), ...control, '--', address.host, command(address)],
      env,
      untilTerminate,
    });
    return connect(transport, settings);
  };

  const folderOf = () => {
    folder ??= makeFolder(address);
    return folder;
  };

  const openMain = async () => {
    const path = socketIn(await folderOf());
    // One that a killed ssh has left would keep the next from listening.
    await rm(path, { force: true });
    return open(['-o', 'ControlMaster=yes', '-o', `ControlPath=${path}`]);
  };

  const mainOpen = async () => {
    const current = main;
    if (current !== undefined) {
      const usable = await current.then(
        (connection) => connection.usable,
        () => false,
      );
      if (usable || main !== current) return main;
    }
    main = openMain();
    return main;
  };

  return {
    async connect() {
      try {
        await mainOpen();
        const path = socketIn(await folderOf());
        return await open(['-o', 'ControlMaster=no', '-o', `ControlPath=${path}`]);
      } catch (error) {
        throw closed ? error : explainSsh(address, error);
      }
    },
    async close() {
      closed = true;
      await main?.then(
        (connection) => connection.close(),
        () => {},
      );
      if (folder !== undefined) await rm(await folder, { recursive: true, force: true });
    },
  };
}

/** In the folder for temporary files, since the path of a socket may have at most 108 bytes. */
async function makeFolder(address: SshAddress): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ringmaster-ssh-'));
  const lines = address.hostKeys?.map((key) => `${hostAlias} ${key}\n`) ?? [];
  await writeFile(join(folder, 'known_hosts'), lines.join(''), { mode: 0o600 });
  return folder;
}

function socketIn(folder: string): string {
  return join(folder, 'control');
}

/** The host's name in the known_hosts file of ours, which holds no other. */
const hostAlias = 'builder';

/** Options on the command line come before those of the user's ssh_config, which may add to them. */
function sshArguments(address: SshAddress, folder: string): string[] {
  const { user, port, keyFile, hostKeys } = address;
  const options = [
    'BatchMode=yes',
    'LogLevel=ERROR',
    'StrictHostKeyChecking=yes',
    'UpdateHostKeys=no',
    'ControlPersist=no',
    'ForwardAgent=no',
    'ForwardX11=no',
    'ClearAllForwardings=yes',
    'PermitLocalCommand=no',
    `Compression=${address.compress ? 'yes' : 'no'}`,
    `ConnectTimeout=${patience.connect}`,
    `ServerAliveInterval=${patience.alive}`,
    `ServerAliveCountMax=${patience.missing}`,
    ...(hostKeys === undefined
      ? []
      : [
          `HostKeyAlias=${hostAlias}`,
          'CheckHostIP=no',
          `UserKnownHostsFile=${join(folder, 'known_hosts')}`,
          'GlobalKnownHostsFile=/dev/null',
        ]),
    ...(keyFile === undefined ? [] : ['IdentitiesOnly=yes']),
  ];
  return [
    '-T',
    ...options.flatMap((option) => ['-o', option]),
    ...(keyFile === undefined ? [] : ['-i', keyFile]),
    ...(user === undefined ? [] : ['-l', user]),
    ...(port === undefined ? [] : ['-p', String(port)]),
  ];
}

/** What the shell at the other end runs. */
function command({ remoteProgram, remoteStore }: SshAddress): string {
  const store = remoteStore === undefined ? [] : ['--store', remoteStore];
  return [...remoteProgram, '--stdio', ...store].map(quoted).join(' ');
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`;
}
