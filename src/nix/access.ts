/** Which way to the local store: a daemon process of our own, or the socket of one that runs. */
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
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
  const socket = socketOf(env);
  if (wanted === 'daemon' || wanted === 'unix://') return { kind: 'socket', path: socket };
  if (wanted.startsWith('unix://')) return { kind: 'socket', path: wanted.slice('unix://'.length) };
  if (wanted !== '' && wanted !== 'auto') return { kind: 'child', store: wanted };
  const own = process.getuid?.() === 0 || writable(stateDirOf(env));
  return !own && existsSync(socket) ? { kind: 'socket', path: socket } : { kind: 'child', store: undefined };
}

/**
 * A folder for a store of this user's own, when that is the only way: not root, the machine's store
 * is not theirs to write, and no daemon can be reached. It is the folder that Nix itself takes since
 * 2.10 where there is no /nix, so `nix build` shares it. `home` is the fallback of users without a home.
 */
export function ownStore(
  env: Environment,
  home: string,
  userId = process.getuid?.() ?? 0,
): string | undefined {
  const chosen = [env.NIX_REMOTE, env.NIX_STATE_DIR, env.NIX_STORE_DIR].some(Boolean);
  // A store below a folder of its own needs mount namespaces to build in.
  if (chosen || userId === 0 || process.platform !== 'linux') return undefined;
  if (writable(stateDirOf(env)) || existsSync(socketOf(env))) return undefined;
  const data = env.XDG_DATA_HOME || (env.HOME ? join(env.HOME, '.local', 'share') : undefined);
  const usual = data === undefined ? undefined : join(data, 'nix', 'root');
  return usual !== undefined && makeable(usual) ? usual : join(home, 'nix-root');
}

function stateDirOf(env: Environment): string {
  return env.NIX_STATE_DIR ?? '/nix/var/nix';
}

function socketOf(env: Environment): string {
  return env.NIX_DAEMON_SOCKET_PATH ?? join(stateDirOf(env), 'daemon-socket', 'socket');
}

/**
 * Whether the store is sure to build what we only tell it, and do not write into it first. A daemon
 * does so for users that it trusts, of whom root is one unless somebody has taken pains.
 */
export function isTrusted(access: StoreAccess, userId = process.getuid?.() ?? 0): boolean {
  if (access.kind === 'socket') return userId === 0;
  const { store } = access;
  return store === undefined || isAbsolute(store) || /^local(\?|$)/.test(store);
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

function makeable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
  } catch {
    return false;
  }
  return writable(folder);
}

function writable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
