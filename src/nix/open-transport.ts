/** A daemon for the store that was chosen. */
import type { StoreAccess } from './access.ts';
import { openChildTransport, openSocketTransport, type Transport } from './daemon/index.ts';
import { daemonEnvironment } from './daemon-environment.ts';

export interface TransportOptions {
  readonly access: StoreAccess;
  /** The program `nix-daemon`. */
  readonly nixDaemon: string;
  /** Says which store a daemon of our own is to open. */
  readonly env: Readonly<Record<string, string>>;
}

/** Connects; the handshake is still to come. */
export async function openTransport({ access, nixDaemon, env }: TransportOptions): Promise<Transport> {
  if (access.kind === 'socket') return openSocketTransport(access.path);
  return openChildTransport({ file: nixDaemon, args: ['--stdio'], env: await daemonEnvironment(env) });
}
