/** The store of this machine, or one in a folder of its own. */
import type { Logger } from '../basics/index.ts';
import { connect, openChildTransport, openSocketTransport } from './daemon/index.ts';
import { daemonEnvironment } from './daemon-environment.ts';
import { readDerivation } from './derivation.ts';
import type { LocalNix } from './local-nix.ts';
import { openDaemonStore } from './store.ts';
import { watchSubstituters } from './substituters.ts';
import type { NixStore } from './types.ts';

export interface LocalStoreOptions {
  readonly nix: LocalNix;
  readonly logger: Logger;
  /** For messages. */
  readonly name?: string;
  /** Bytes of output that one build may print; default 64 MiB. Nix itself ends it somewhat later. */
  readonly maxLogBytes?: number;
  /** Further settings of Nix for everything done through this store. */
  readonly overrides?: Readonly<Record<string, string>>;
}

/** Bytes. */
export const defaultMaxLogBytes = 64 * 1024 * 1024;

/**
 * Bytes that Nix's own limit lies above. Nix drops the last lines before its limit, so whoever counts
 * lines has to come first; Nix's limit is for output without a newline, which nobody else sees.
 */
export const logSlack = 1024 * 1024;

/** Opens the store that `detectNix` has found. */
export function openLocalStore(options: LocalStoreOptions): NixStore {
  const { nix } = options;
  const substituters = watchSubstituters({
    substituters: nix.substituters,
    environment: nix.environment,
    log: options.logger,
  });
  const settings = async () => ({
    // A connection has one build at a time; how many run is decided elsewhere.
    maxJobs: 1,
    cores: nix.cores,
    useSubstitutes: true,
    fallback: nix.fallback,
    overrides: {
      // Failures are told with the log beside them, so they need not quote it.
      'log-lines': '0',
      'max-build-log-size': String((options.maxLogBytes ?? defaultMaxLogBytes) + logSlack),
      // A daemon behind a socket has a configuration of its own, which need not demand a sandbox.
      ...(nix.sandbox && { sandbox: 'true', 'sandbox-fallback': 'false' }),
      // Another user's daemon cannot be expected to run a program from our folder.
      ...(nix.access.kind === 'child' && nix.buildHook !== undefined && { 'build-hook': nix.buildHook }),
      substituters: (await substituters()).join(' '),
      ...options.overrides,
    },
  });
  const openTransport = async () => {
    if (nix.access.kind === 'socket') return openSocketTransport(nix.access.path);
    return openChildTransport({
      file: nix.programs['nix-daemon'],
      args: ['--stdio'],
      env: await daemonEnvironment(nix.environment),
    });
  };
  return openDaemonStore({
    name: options.name ?? 'local',
    storeDir: nix.storeDir,
    connect: async () => connect(await openTransport(), await settings()),
    outputsOf: async (drvPath) => {
      const { outputs } = await readDerivation(nix.layout, drvPath);
      const known = [...outputs].flatMap(([name, { path }]) => (path === undefined ? [] : [[name, path]]));
      return Object.fromEntries(known);
    },
    logger: options.logger,
  });
}
