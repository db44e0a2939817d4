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
import {
  connect,
  type DaemonConnection,
  type DaemonSettings,
  openChildTransport,
  type Transport,
} from '../daemon/index.ts';
import type { SshAddress } from './address.ts';
import { explainSsh } from './explain.ts';

export interface SshHostOptions {
  readonly address: SshAddress;
  readonly settings: DaemonSettings;
  /** The environment of ssh. */
  readonly env: Readonly<Record<string, string>>;
  /** Seconds between signs of life; after four without any, the machine is lost. Default 5. */
  readonly aliveSeconds?: number;
}

export interface SshHost {
  /** A new session. Rejects with an OperatorError that says what to do. */
  connect(): Promise<DaemonConnection>;
  /** Ends everything that runs through it. */
  close(): Promise<void>;
}

/** Seconds: to be let in; between signs of life. And how many of these may be missing. */
const patience = { connect: 15, alive: 5, missing: 3 } as const;

/** Milliseconds that ssh has to end by itself. It waits for the other side, which may be gone. */
const untilTerminate = 50;

/** The session that the others run on. */
interface Main {
  readonly transport: Transport;
  readonly connection: DaemonConnection;
}

export function openSshHost({ address, settings, env, aliveSeconds }: SshHostOptions): SshHost {
  let folder: Promise<string> | undefined;
  let main: Promise<Main> | undefined;
  let closed = false;

  const open = async (control: readonly string[]): Promise<Transport> =>
    openChildTransport({
      name: address.name,
      file: 'ssh',
      args: [
        ...sshArguments(address, await folderOf()),
        ...['-o', `ServerAliveInterval=${aliveSeconds ?? patience.alive}`],
        ...[...control, '--', address.host, command(address)],
      ],
      env,
      untilTerminate,
    });

  const folderOf = () => {
    folder ??= makeFolder(address);
    return folder;
  };

  const openMain = async () => {
    const path = socketIn(await folderOf());
    // One that a killed ssh has left would keep the next from listening.
    await rm(path, { force: true });
    const transport = await open(['-o', 'ControlMaster=yes', '-o', `ControlPath=${path}`]);
    return { transport, connection: await connect(transport, settings) };
  };

  const mainOpen = async () => {
    const current = main;
    if (current !== undefined) {
      const usable = await current.then(
        ({ connection }) => connection.usable,
        () => false,
      );
      if (usable) return current;
      // Somebody else may have been faster.
      if (main !== current && main !== undefined) return main;
    }
    main = openMain();
    return main;
  };

  return {
    async connect() {
      try {
        const { transport } = await mainOpen();
        const path = socketIn(await folderOf());
        const session = await open(['-o', 'ControlMaster=no', '-o', `ControlPath=${path}`]);
        // Why all sessions have ended, only the one knows that they ran on.
        const lastWords = async () => (await session.lastWords()) || transport.lastWords();
        return await connect({ ...session, lastWords }, settings);
      } catch (error) {
        throw closed ? error : explainSsh(address, error);
      }
    },
    async close() {
      closed = true;
      await main?.then(
        ({ connection }) => connection.close(),
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
    // Less would keep quiet about a machine that does not answer any more.
    'LogLevel=INFO',
    'StrictHostKeyChecking=yes',
    'UpdateHostKeys=no',
    'ControlPersist=no',
    'ForwardAgent=no',
    'ForwardX11=no',
    'ClearAllForwardings=yes',
    'PermitLocalCommand=no',
    `Compression=${address.compress ? 'yes' : 'no'}`,
    `ConnectTimeout=${patience.connect}`,
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
