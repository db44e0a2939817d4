/** Ways to reach something that speaks the daemon protocol. */
import { connect as connectSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { killGroup, startProcess } from '../../basics/index.ts';
import { ConnectionLost, type Transport } from './channel.ts';

/**
 * Milliseconds a daemon that was let go of has to end its builder and itself. It notices within
 * milliseconds; on a machine that is out of breath it may take longer.
 */
const patience = { untilSilent: 1_000, untilTerminate: 5_000, untilKill: 10_000 } as const;

export interface ChildTransportOptions {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** For messages, instead of the file. */
  readonly name?: string;
  /** Milliseconds until it is told to end when closing its pipes did not do. Never soon for a daemon. */
  readonly untilTerminate?: number;
}

/**
 * A child process that speaks the protocol on its stdin and stdout: `nix-daemon --stdio`, or the
 * same through ssh.
 *
 * It is ended by closing its stdin, not by a signal: builders lead process groups of their own, and
 * a daemon that is killed outright leaves them running. For the same reason a death of this program,
 * however sudden, ends the builders: the kernel closes the pipe.
 */
export function openChildTransport(options: ChildTransportOptions): Transport {
  const child = startProcess(options.file, options.args, { env: options.env });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('utf8')).slice(-2000);
  });
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      said = error.message;
      resolve();
    });
  });
  // Its stderr may still be in the pipe when its stdout has ended.
  const silent = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const lastWords = async () => {
    const timer = new AbortController();
    const waited = sleep(patience.untilSilent, undefined, { signal: timer.signal }).catch(() => {});
    await Promise.race([silent, waited]);
    timer.abort();
    return said.trim();
  };
  const destroy = async () => {
    child.stdin.destroy();
    child.stdout.destroy();
    const timers = [
      setTimeout(() => killGroup(child, 'SIGTERM'), options.untilTerminate ?? patience.untilTerminate),
      setTimeout(() => killGroup(child), patience.untilKill),
    ];
    await gone;
    for (const timer of timers) clearTimeout(timer);
  };
  return {
    name: options.name ?? options.file,
    input: child.stdout,
    output: child.stdin,
    destroy,
    lastWords,
  };
}

/** The socket of a running daemon. Which builder it ends, and when, is its own business. */
export function openSocketTransport(socketPath: string): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(socketPath);
    const failed = (error: Error) => reject(new ConnectionLost(`${socketPath}: ${error.message}`, error));
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      resolve({
        name: socketPath,
        input: socket,
        output: socket,
        destroy: async () => void socket.destroy(),
        lastWords: async () => '',
      });
    });
  });
}
