/**
 * An sshd on the loopback interface with keys of its own. Machines "behind" it are stores in folders:
 * `remote-store=` says which.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const program = '/usr/sbin/sshd';

/** Why there can be no sshd here; undefined when there can. */
export const sshdMissing = reason();

function reason(): string | undefined {
  if (process.getuid?.() !== 0) return 'sshd and stores in folders need root';
  if (!existsSync(program)) return `there is no ${program} (apt-get install openssh-server)`;
  return undefined;
}

if (sshdMissing !== undefined) console.warn(`Not tested over ssh: ${sshdMissing}.`);

export interface Sshd {
  readonly port: number;
  readonly folder: string;
  /** Private key file of somebody who is let in, and of somebody who is not. */
  readonly keys: { readonly known: string; readonly stranger: string };
  /** Base 64 of the host's public key. */
  readonly hostKey: string;
  /** Lines that sshd and its sessions have logged. */
  readonly log: readonly string[];
  /** The address of the store in a folder of this machine. Parameters given replace those. */
  address(parameters: Readonly<Record<string, string>>): string;
  /** Ends all connections; new ones are refused with `listener`. */
  cut(what: 'connections' | 'listener'): Promise<void>;
  /** Lets those that are connected wait, as a machine does that lost its network. Returns what ends that. */
  freeze(): Promise<() => void>;
  close(): Promise<void>;
}

export interface SshdOptions {
  /** Lines for nix.conf of whatever is run through it. */
  readonly nixConfig: string;
}

export async function startSshd(options: SshdOptions): Promise<Sshd> {
  // A socket's path is short, and newer Nix refuses stores in folders that everybody may write to.
  const folder = await mkdtemp('/var/tmp/ringmaster-sshd-');
  const conf = join(folder, 'nix');
  await mkdir(conf);
  await mkdir('/run/sshd', { recursive: true });
  await writeFile(join(conf, 'nix.conf'), options.nixConfig);
  const [hostKey, known, stranger] = await Promise.all(
    ['host', 'known', 'stranger'].map((name) => makeKey(join(folder, name))),
  );
  if (hostKey === undefined || known === undefined || stranger === undefined) throw new Error('no keys');
  const host = '127.0.0.1';
  const port = await freePort();
  const config = join(folder, 'sshd_config');
  await writeFile(
    config,
    [
      ...[`Port ${port}`, `ListenAddress ${host}`, `HostKey ${hostKey}`, `PidFile ${folder}/pid`],
      ...[`AuthorizedKeysFile ${known}.pub`, 'PasswordAuthentication no', 'KbdInteractiveAuthentication no'],
      ...['UsePAM no', 'StrictModes no', 'PermitRootLogin yes', 'LogLevel INFO'],
      `SetEnv NIX_CONF_DIR=${conf}`,
    ].join('\n'),
  );
  const log: string[] = [];
  const child = spawn(program, ['-D', '-e', '-f', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      if (line.includes('Server listening')) resolve();
    });
    child.once('exit', () => reject(new Error(`sshd ended: ${log.join('\n')}`)));
  });
  const hostLine = (await readFile(`${hostKey}.pub`)).toString('base64');
  const ended = async () => {
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGKILL');
    await gone;
  };
  return {
    port,
    folder,
    keys: { known, stranger },
    hostKey: hostLine,
    log,
    address: (parameters) => {
      const all = { 'ssh-key': known, 'base64-ssh-public-host-key': hostLine, ...parameters };
      return `ssh-ng://${userInfo().username}@${host}:${port}?${new URLSearchParams(all)}`;
    },
    cut: async (what) => {
      const sessions = await childrenOf(child);
      if (what === 'listener') await ended();
      for (const pid of sessions) kill(pid);
    },
    freeze: async () => {
      const sessions = await childrenOf(child);
      for (const pid of sessions) kill(pid, 'SIGSTOP');
      return () => {
        for (const pid of sessions) kill(pid, 'SIGCONT');
      };
    },
    close: async () => {
      for (const pid of await childrenOf(child)) kill(pid);
      await ended();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function makeKey(file: string): Promise<string> {
  await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file]);
  return file;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  server.close();
  await once(server, 'close');
  return port;
}

async function childrenOf(child: ChildProcess): Promise<number[]> {
  const listed = await promisify(execFile)('ps', ['--ppid', String(child.pid), '-o', 'pid=']).catch(() => ({
    stdout: '',
  }));
  return listed.stdout.split('\n').filter(Boolean).map(Number);
}

function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}
