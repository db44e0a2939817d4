/** Which way to the local store: a daemon process of our own, or the socket of one that runs. */
import { accessSync, constants, existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { StoreLayout } from './derivation.ts';
import type { Environment } from './environment.ts';

export type StoreAccess =
  /** `nix-daemon --stdio` as a child; `store` is what it is told to open, unless left to Nix. */
  | { readonly kind: 'child'; readonly store: string | undefined }
  | { readonly kind: 'socket'; readonly path: string };

/**
 * Decides as Nix does for `--store auto`: who may write the store's database opens it; everybody
 * else talks to the daemon. `store` is a folder with a store of its own, or any store address of Nix.
 */
export function chooseAccess(env: Environment, store?: string): StoreAccess {
  const wanted = store ?? env.NIX_REMOTE ?? '';
  const stateDir = env.NIX_STATE_DIR ?? '/nix/var/nix';
  const socket = env.NIX_DAEMON_SOCKET_PATH ?? join(stateDir, 'daemon-socket', 'socket');
  if (wanted === 'daemon' || wanted === 'unix://') return { kind: 'socket', path: socket };
  if (wanted.startsWith('unix://')) return { kind: 'socket', path: wanted.slice('unix://'.length) };
  if (wanted !== '' && wanted !== 'auto') return { kind: 'child', store: wanted };
  const own = process.getuid?.() === 0 || writable(stateDir);
  return !own && existsSync(socket) ? { kind: 'socket', path: socket } : { kind: 'child', store: undefined };
}

/** Where the files of that store are. For one on another machine that is only where they would be. */
export function layoutOf(access: StoreAccess, storeDir: string): StoreLayout {
  const root = access.kind === 'child' ? rootOf(access.store) : undefined;
  return { storeDir, realStoreDir: root === undefined ? storeDir : join(root, storeDir) };
}

function rootOf(store: string | undefined): string | undefined {
  if (store === undefined) return undefined;
  if (isAbsolute(store)) return store;
  const query = /^local(?:\?(.*))?$/.exec(store)?.[1];
  return new URLSearchParams(query).get('root') ?? undefined;
}

function writable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
