/** A cache put together: key, spool, catalogue, uploads, and what answers requests. */
import { join } from 'node:path';
import { type Logger, messageOf } from '../basics/index.ts';
import type { NixStore, StoreLayout } from '../nix/index.ts';
import { createCatalogue } from './catalogue.ts';
import { createTranscoders } from './compression.ts';
import { type CacheHandler, type CacheParts, createCacheHandler } from './http/handler.ts';
import type { Authorize, MayUpload } from './identity.ts';
import { createVerifier, type SigningKey } from './signing.ts';
import { openSpool, type Spool } from './spool.ts';
import { cacheStore } from './store.ts';
import { createUploads } from './upload.ts';

export interface CacheOptions {
  readonly dataDir: string;
  readonly key: SigningKey;
  /** The store that is served. Asked with each request until there is one, so a late one is no matter. */
  readonly store: () => Promise<{ readonly store: NixStore; readonly layout: StoreLayout }>;
  readonly authorize: Authorize;
  readonly mayUpload: MayUpload;
  /** Whether a path is an output of a derivation that was built on a builder. */
  readonly isResult: (path: string, deriver: string) => Promise<boolean>;
  readonly onLie: (builderId: number, what: string) => void;
  readonly isPublic: boolean;
  readonly compression: 'none' | 'zstd';
  /** Public keys of others whose signatures are believed. */
  readonly trustedPublicKeys: readonly string[];
  readonly maxNarBytes: number;
  /** Of this process, for the programs that compress. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
}

export interface Cache {
  readonly publicKey: string;
  readonly handle: CacheHandler;
  close(): Promise<void>;
}

export function openCache(options: CacheOptions): Cache {
  const { key, log } = options;
  const verify = createVerifier([key.publicKey, ...options.trustedPublicKeys]);
  const transcoders = createTranscoders(options.environment);
  let spool: Promise<Spool> | undefined;
  let parts: Promise<CacheParts> | undefined;

  const open = async (): Promise<CacheParts> => {
    const found = await options.store();
    const store = cacheStore(found.store, found.layout);
    spool ??= openSpool({
      folder: join(options.dataDir, 'cache', 'spool'),
      // Of one agent: what it builds at the same time.
      maxBytes: 2 * options.maxNarBytes,
    });
    return {
      store,
      transcoders,
      catalogue: createCatalogue({ ...options, store, verify }),
      uploads: createUploads({ ...options, store, spool: await spool, transcoders }),
    };
  };

  return {
    publicKey: key.publicKey,
    handle: createCacheHandler({
      parts: () => {
        parts ??= open();
        const opening = parts;
        opening.catch((error: unknown) => {
          if (parts === opening) parts = undefined;
          log.debug({ reason: messageOf(error) }, 'the cache has no store to serve');
        });
        return opening;
      },
      authorize: options.authorize,
      isPublic: options.isPublic,
      log,
    }),
    close: async () => void (await (await spool?.catch(() => undefined))?.close()),
  };
}
