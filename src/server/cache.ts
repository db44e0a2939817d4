/** The binary cache of a server: the store of its machine, its database's tokens, its key. */
import { type Logger, OperatorError } from '../basics/index.ts';
import { quarantineAgent } from '../builders/index.ts';
import {
  type Cache,
  createAuthorize,
  createIsResult,
  createMayUpload,
  defaultKeyName,
  openCache,
  openCacheKey,
} from '../cache/index.ts';
import { type LocalNix, type NixStore, openLocalStore } from '../nix/index.ts';
import type { Database } from '../postgres/index.ts';
import type { ServerSettings } from './settings.ts';

export interface ServerCacheOptions {
  readonly settings: ServerSettings;
  readonly database: Database;
  /** The Nix of this machine; rejects while there is none. */
  readonly nix: () => Promise<LocalNix>;
  readonly log: Logger;
}

/** Opens the cache and makes its key if need be. The store is looked for when somebody asks. */
export async function openServerCache(options: ServerCacheOptions): Promise<Cache> {
  const { settings, database, log } = options;
  const { cache, dataDir, server } = settings.config;
  const db = database.knex;
  let store: NixStore | undefined;
  const opened = openCache({
    dataDir,
    key: await openCacheKey({
      dataDir,
      file: cache.secretKeyFile,
      name: cache.keyName ?? defaultKeyName(server.publicUrl),
    }),
    store: async () => {
      const nix = await options.nix();
      // A daemon process remembers for an hour what was absent, and here others add all the time.
      const overrides = { 'narinfo-cache-negative-ttl': '0' };
      store ??= openLocalStore({ nix, logger: log, name: 'cache', overrides });
      return { store, layout: nix.layout };
    },
    authorize: createAuthorize(db),
    mayUpload: createMayUpload(db),
    isResult: createIsResult(db),
    onLie: (builderId, what) => {
      log.warn({ builder: builderId, what }, 'an agent uploaded something else than it said');
      quarantineAgent(db, builderId, `it uploaded something else than it said: ${what}`).catch(
        (error: unknown) =>
          log.error({ err: error, builder: builderId }, 'an agent could not be quarantined'),
      );
    },
    isPublic: cache.public,
    compression: cache.compression,
    trustedPublicKeys: cache.trustedPublicKeys,
    maxNarBytes: cache.maxNarBytes,
    environment: settings.environment,
    log,
  });
  return {
    ...opened,
    async close() {
      await opened.close();
      await store?.close();
    },
  };
}

/** Why a process that only has the role `web` serves no cache. */
export function noStoreHere(): OperatorError {
  return new OperatorError({
    code: 'no-store-here',
    message: 'This server process has no Nix store: the cache is served by those that evaluate or schedule.',
    hint: 'Give it one of the roles evaluator and scheduler besides web.',
  });
}
