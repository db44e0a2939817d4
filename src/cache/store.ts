/** What a cache needs of a Nix store. */
import { open } from 'node:fs/promises';
import {
  type NixStore,
  type PathInfo,
  type PathSink,
  type PathSource,
  realPath,
  type StoreLayout,
} from '../nix/index.ts';
import type { Bytes } from './compression.ts';
import { writeNar } from './nar-writer.ts';

export interface CacheStore extends PathSource, PathSink {
  /** What all paths begin with, `/nix/store`. */
  readonly storeDir: string;
  /** The valid path whose name starts with these 32 characters. */
  pathOfHash(hashPart: string): Promise<string | undefined>;
}

/**
 * A store as a cache uses it: NARs are packed here where the files of the store can be read, and by
 * its daemon elsewhere.
 */
export function cacheStore(
  store: Pick<NixStore, 'pathOfHash'> & PathSource & PathSink,
  layout: StoreLayout,
): CacheStore {
  return {
    storeDir: layout.storeDir,
    pathOfHash: (hashPart) => store.pathOfHash(hashPart),
    pathInfos: (paths) => store.pathInfos(paths),
    validPaths: (paths, substitute) => store.validPaths(paths, substitute),
    add: (entries) => store.add(entries),
    nar: (path, info) => narOf(store, layout, path, info),
  };
}

async function* narOf(store: PathSource, layout: StoreLayout, path: string, info?: PathInfo): Bytes {
  // Elsewhere file systems do not tell names and modes as they are in a NAR.
  const here = process.platform === 'linux' && (await isThere(layout.realStoreDir));
  yield* here ? writeNar(realPath(layout, path)) : store.nar(path, info);
}

async function isThere(folder: string): Promise<boolean> {
  const opened = await open(folder).catch(() => undefined);
  await opened?.close();
  return opened !== undefined;
}
