/** The store of this machine, or one in a folder of its own. */
import type { Logger } from '../basics/index.ts';
import { connect, openChildTransport, openSocketTransport } from './daemon/index.ts';
import { readDerivation } from './derivation.ts';
import type { LocalNix } from './local-nix.ts';
import { openDaemonStore } from './store.ts';
import type { NixStore } from './types.ts';

export interface LocalStoreOptions {
  readonly nix: LocalNix;
  readonly logger: Logger;
  /** For messages. */
  readonly name?: string;
  /** Bytes of output after which Nix ends a build. One line can be no longer than this. */
  readonly maxLogBytes?: number;
  /** Further settings of Nix for everything done through this store. */
  readonly overrides?: Readonly<Record<string, string>>;
}

/** Opens the store that `detectNix` has found. */
export function openLocalStore(options: LocalStoreOptions): NixStore {
  const { nix } = options;
  const settings = {
    // A connection has one build at a time; how many run is decided elsewhere.
    maxJobs: 1,
    cores: nix.cores,
    useSubstitutes: true,
    fallback: nix.fallback,
    overrides: {
      // Failures are told with the log beside them, so they need not quote it.
      'log-lines': '0',
      ...(options.maxLogBytes !== undefined && { 'max-log-size': String(options.maxLogBytes) }),
      ...options.overrides,
    },
  };
  const openTransport = async () => {
    if (nix.access.kind === 'socket') return openSocketTransport(nix.access.path);
    return openChildTransport({
      file: nix.programs['nix-daemon'],
      args: ['--stdio'],
      env: nix.environment,
    });
  };
  return openDaemonStore({
    name: options.name ?? 'local',
    storeDir: nix.storeDir,
    connect: async () => connect(await openTransport(), settings),
    outputsOf: async (drvPath) => {
      const { outputs } = await readDerivation(nix.layout, drvPath);
      const known = [...outputs].flatMap(([name, { path }]) => (path === undefined ? [] : [[name, path]]));
      return Object.fromEntries(known);
    },
    logger: options.logger,
  });
}
