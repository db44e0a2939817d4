/** Keeps the garbage collector's roots of this machine's store in step with what is to be kept. */
import { join } from 'node:path';
import type { Config } from '../basics/config/index.ts';
import { type Logger, messageOf } from '../basics/index.ts';
import { updateGcRoots } from '../builds/index.ts';
import type { LocalNix, NixStore } from '../nix/index.ts';
import type { Knex } from '../postgres/index.ts';

const everyMs = 60_000;

export interface GcRootsLoopOptions {
  readonly db: Knex;
  readonly config: Pick<Config, 'dataDir' | 'retention'>;
  readonly working: { readonly nix: Pick<LocalNix, 'storeDir'>; readonly store: NixStore };
  readonly log: Logger;
}

/** Where they are. */
export function gcRootsFolder({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'gcroots');
}

/** Does it now and then every minute; returns a function that stops it. */
export function startGcRoots({ db, config, working, log }: GcRootsLoopOptions): () => Promise<void> {
  let running: Promise<void> | undefined;
  async function once(): Promise<void> {
    try {
      const { added, removed } = await updateGcRoots({
        db,
        folder: gcRootsFolder(config),
        store: working.store,
        storeDir: working.nix.storeDir,
        keep: config.retention,
      });
      if (added + removed > 0)
        log.info({ added, removed }, 'results are kept from garbage collection, or let go');
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'what is to be kept could not be told the Nix store yet');
    }
  }
  const begin = () => {
    running ??= once().finally(() => {
      running = undefined;
    });
  };
  begin();
  const timer = setInterval(begin, everyMs);
  return async () => {
    clearInterval(timer);
    await running;
  };
}
