/** The store of another machine, reached with nothing but ssh. */
import type { Logger } from '../../basics/index.ts';
import { defaultMaxLogBytes, logSlack } from '../local-store.ts';
import { openDaemonStore } from '../store.ts';
import type { NixStore } from '../types.ts';
import type { SshAddress } from './address.ts';
import { openSshHost } from './host.ts';

export interface SshStoreOptions {
  readonly address: SshAddress;
  /** What paths begin with, there as here. */
  readonly storeDir: string;
  /** The environment of ssh. */
  readonly env: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** Output names and paths of a derivation, which need not be in that store. */
  readonly outputsOf: (drvPath: string) => Promise<Readonly<Record<string, string>>>;
  /** Bytes of output that one build may print. */
  readonly maxLogBytes?: number;
  /** Processors for one build; 0, the default, for all of that machine. */
  readonly cores?: number;
  /** Seconds between signs of life; after four without any, the machine is lost. Default 5. */
  readonly aliveSeconds?: number;
  /** Further settings of Nix for everything done through this store. */
  readonly overrides?: Readonly<Record<string, string>>;
}

/** Opens a store. Nothing is connected before something is asked. */
export function openSshStore(options: SshStoreOptions): NixStore {
  const { address } = options;
  const host = openSshHost({
    address,
    env: options.env,
    ...(options.aliveSeconds !== undefined && { aliveSeconds: options.aliveSeconds }),
    settings: {
      maxJobs: 1,
      cores: options.cores ?? 0,
      useSubstitutes: true,
      fallback: true,
      overrides: {
        'log-lines': '0',
        'max-build-log-size': String((options.maxLogBytes ?? defaultMaxLogBytes) + logSlack),
        // It builds what it is given itself: its slots are counted.
        builders: '',
        ...options.overrides,
      },
    },
  });
  const store = openDaemonStore({
    name: address.name,
    storeDir: options.storeDir,
    connect: () => host.connect(),
    outputsOf: options.outputsOf,
    logger: options.logger,
  });
  return {
    ...store,
    close: async () => {
      await store.close();
      await host.close();
    },
  };
}
