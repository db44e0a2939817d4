/**
 * What a cache has: valid paths of the store that may be handed on, each with its narinfo.
 *
 * Handed on is what is known to be what its name says: built by this store, content-addressed, signed
 * with a key that is trusted, or the result of a build that succeeded on one of the builders.
 * Anything else in the store was put there by somebody who vouched for it to nobody, and a
 * signature of ours would make others believe it.
 */
import type { PathInfo } from '../nix/index.ts';
import { nixBase32 } from '../nix/index.ts';
import { formatNarInfo } from './nar-info.ts';
import type { SigningKey, Verifier } from './signing.ts';
import type { CacheStore } from './store.ts';

export interface CatalogueEntry {
  readonly path: string;
  readonly info: PathInfo;
  /** Of the file below `nar/`. */
  readonly narName: string;
  readonly compression: 'none' | 'zstd';
  /** The bytes of its narinfo, signed. */
  readonly narInfo: Buffer;
}

export interface Catalogue {
  /** Undefined when there is no such path, or none that may be handed on. */
  find(hashPart: string): Promise<CatalogueEntry | undefined>;
}

export interface CatalogueOptions {
  readonly store: CacheStore;
  readonly key: SigningKey;
  /** Keys of others that are believed. */
  readonly verify: Verifier;
  /** Whether a derivation was built, with this path as a result, on a builder. */
  readonly isResult: (path: string, deriver: string) => Promise<boolean>;
  readonly compression: 'none' | 'zstd';
  readonly now?: () => number;
}

/**
 * How long a path is taken to be still there, in milliseconds. That one is absent is not remembered
 * at all, since it may be built the next moment.
 */
const believedMs = 10_000;
/** Entries take about a kilobyte each. */
const maxEntries = 20_000;
/** Bytes of a NAR below which compressing costs more than it saves. */
const compressFromBytes = 32 * 1024;

export function createCatalogue(options: CatalogueOptions): Catalogue {
  const { store } = options;
  const now = options.now ?? (() => performance.now());
  const known = new Map<string, { readonly entry: CatalogueEntry; readonly seenAt: number }>();
  const asked = new Map<string, Promise<CatalogueEntry | undefined>>();

  const remember = (hashPart: string, entry: CatalogueEntry) => {
    known.delete(hashPart);
    known.set(hashPart, { entry, seenAt: now() });
    for (const oldest of known.keys()) {
      if (known.size <= maxEntries) break;
      known.delete(oldest);
    }
  };

  const look = async (hashPart: string): Promise<CatalogueEntry | undefined> => {
    const before = known.get(hashPart)?.entry;
    const path = before?.path ?? (await store.pathOfHash(hashPart));
    const info = path === undefined ? undefined : (await store.pathInfos([path])).get(path);
    if (path === undefined || info === undefined) {
      known.delete(hashPart);
      return undefined;
    }
    const unchanged = before !== undefined && sameAs(before.info, info);
    const entry = unchanged ? before : await describe(options, path, info);
    if (entry === undefined) known.delete(hashPart);
    else remember(hashPart, entry);
    return entry;
  };

  return {
    async find(hashPart) {
      const fresh = known.get(hashPart);
      if (fresh !== undefined && now() - fresh.seenAt < believedMs) return fresh.entry;
      const looking = asked.get(hashPart) ?? look(hashPart).finally(() => asked.delete(hashPart));
      asked.set(hashPart, looking);
      return looking;
    },
  };
}

async function describe(
  options: CatalogueOptions,
  path: string,
  info: PathInfo,
): Promise<CatalogueEntry | undefined> {
  if (!(await mayBeHandedOn(options, path, info))) return undefined;
  const compression = info.narBytes < compressFromBytes ? 'none' : options.compression;
  const narName = narNameOf(path, info, compression);
  const signatures = new Set([...info.signatures, options.key.sign(path, info)]);
  const text = formatNarInfo({ path, url: `nar/${narName}`, compression, info: { ...info, signatures } });
  return { path, info, narName, compression, narInfo: Buffer.from(text) };
}

async function mayBeHandedOn(options: CatalogueOptions, path: string, info: PathInfo): Promise<boolean> {
  if (info.ultimate || info.contentAddress !== undefined) return true;
  if (options.verify(path, info, info.signatures)) return true;
  return info.deriver !== undefined && (await options.isResult(path, info.deriver));
}

/**
 * Names the content too: where a path was collected and built again, a client that has the old
 * narinfo is told that the NAR is gone instead of being sent another one.
 */
function narNameOf(path: string, info: PathInfo, compression: 'none' | 'zstd'): string {
  const hashPart = path.slice(path.lastIndexOf('/') + 1).slice(0, 32);
  const narHash = nixBase32(Buffer.from(info.narHash, 'hex'));
  return `${hashPart}-${narHash}.nar${compression === 'zstd' ? '.zst' : ''}`;
}

function sameAs(before: PathInfo, after: PathInfo): boolean {
  return (
    before.narHash === after.narHash &&
    before.ultimate === after.ultimate &&
    before.signatures.size === after.signatures.size
  );
}
