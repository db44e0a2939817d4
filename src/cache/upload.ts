/**
 * Taking paths in: a NAR first, which waits in the spool, then the narinfo that says what it is. Only
 * then, and when all of it is true, the path goes into the store, signed with the key of this server.
 *
 *   PUT nar ──> waiting ──PUT narinfo──> checked while it is unpacked ──> in the store
 *                  │                         └── not what it says ──> refused; an agent is reported
 *                  └── an hour over, restart ──> forgotten
 */
import type { PathInfo } from '../nix/index.ts';
import { type Bytes, CompressionError, type Transcoders } from './compression.ts';
import { pathOfContent } from './content-address.ts';
import { Refusal } from './http/refusal.ts';
import type { Identity, MayUpload } from './identity.ts';
import { type NarInfo, NarInfoError, parseNarInfo } from './nar-info.ts';
import type { SigningKey } from './signing.ts';
import { type Spool, type SpooledNar, SpoolFull } from './spool.ts';
import type { CacheStore } from './store.ts';
import { NarMismatch, verifiedNar } from './verified-nar.ts';

export interface UploadOptions {
  readonly store: CacheStore;
  readonly spool: Spool;
  readonly key: SigningKey;
  readonly transcoders: Transcoders;
  readonly mayUpload: MayUpload;
  /** An agent sent something else than it said it would: what, for people. */
  readonly onLie: (builderId: number, what: string) => void;
  /** Bytes of the largest NAR, compressed or not. */
  readonly maxNarBytes: number;
}

export interface Uploads {
  /** Rejects with Refusals. */
  receiveNar(identity: Identity, name: string, source: Bytes): Promise<void>;
  /** Rejects with Refusals. Resolves when the path is valid in the store. */
  receiveNarInfo(identity: Identity, hashPart: string, text: string): Promise<void>;
  /** A NAR of theirs that waits: its size in bytes. */
  waiting(identity: Identity, name: string): number | undefined;
}

/** NAR names that uploaders give: Nix takes the hash of the file, others what they like. */
export const uploadName = /^[0-9a-z][0-9A-Za-z_-]{0,150}\.nar(?:\.[0-9a-z]{1,8})?$/;

export function createUploads(options: UploadOptions): Uploads {
  const { store, spool, maxNarBytes } = options;
  return {
    waiting: (identity, name) => spool.find(ownerOf(identity), name)?.bytes,
    async receiveNar(identity, name, source) {
      try {
        await spool.receive(ownerOf(identity), name, atMost(source, maxNarBytes));
      } catch (error) {
        if (error instanceof SpoolFull) throw new Refusal(413, error.message);
        throw error;
      }
    },
    async receiveNarInfo(identity, hashPart, text) {
      const narInfo = parsed(text, store.storeDir);
      const { path, info } = narInfo;
      if (!path.startsWith(`${store.storeDir}/${hashPart}-`)) {
        throw new Refusal(400, `the narinfo is of another path: ${path}`);
      }
      if (!(await options.mayUpload(identity, path))) throw new Refusal(403, `${path} may not be uploaded`);
      const owner = ownerOf(identity);
      const name = narInfo.url.startsWith('nar/') ? narInfo.url.slice(4) : '';
      const nar = uploadName.test(name) ? spool.find(owner, name) : undefined;
      const others = [...info.references].filter((reference) => reference !== path);
      const valid = await store.validPaths([path, ...others], false);
      if (!valid.has(path)) {
        if (nar === undefined)
          throw new Refusal(409, `the NAR of ${path} was not uploaded before, or is gone`);
        const missing = others.filter((reference) => !valid.has(reference));
        if (missing.length > 0) {
          throw new Refusal(400, `${path} refers to what is not here: ${missing.slice(0, 5).join(' ')}`);
        }
        await take(options, identity, narInfo, nar);
      }
      if (nar !== undefined) await spool.drop(owner, name);
    },
  };
}

/** Adds a path to the store, or refuses it when it is not what it was said to be. */
async function take(
  options: UploadOptions,
  identity: Identity,
  { path, info, compression, fileHash, fileBytes }: NarInfo,
  nar: SpooledNar,
): Promise<void> {
  const refuse = (what: string): never => {
    const told = `${path}: ${what}`;
    if (identity.kind === 'agent') options.onLie(identity.builderId, told);
    throw new Refusal(400, told);
  };
  if (info.narBytes > options.maxNarBytes) {
    throw new Refusal(413, `${path}: a NAR may have ${options.maxNarBytes} bytes at most`);
  }
  if (fileHash !== undefined && fileHash !== nar.hash)
    refuse('the file has another hash than the narinfo says');
  if (fileBytes !== undefined && fileBytes !== nar.bytes)
    refuse('the file has another size than the narinfo says');
  if (!contentAddressHolds(options.store.storeDir, path, info)) {
    refuse('the content address belongs to another path');
  }
  // The store sees an error of the stream as trouble of its own: what it was is kept here.
  let failure: unknown;
  const contents = async function* (): Bytes {
    try {
      yield* verifiedNar(options.transcoders.decompress(compression, nar.read()), info);
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  const signatures = new Set([...info.signatures, options.key.sign(path, info)]);
  try {
    await options.store.add([{ path, info: { ...info, signatures }, nar: contents() }]);
  } catch (error) {
    if (failure instanceof NarMismatch) refuse(failure.message);
    if (failure instanceof CompressionError && failure.reason === 'damaged') refuse(failure.message);
    throw failure ?? error;
  }
}

function contentAddressHolds(storeDir: string, path: string, info: PathInfo): boolean {
  if (info.contentAddress === undefined) return true;
  const name = path.slice(storeDir.length + 34);
  return pathOfContent(storeDir, name, info.contentAddress, [...info.references]) === path;
}

function parsed(text: string, storeDir: string): NarInfo {
  try {
    return parseNarInfo(text, storeDir);
  } catch (error) {
    throw error instanceof NarInfoError ? new Refusal(400, error.message) : error;
  }
}

async function* atMost(source: Bytes, limit: number): Bytes {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > limit) throw new Refusal(413, `a NAR may have ${limit} bytes at most`);
    yield chunk;
  }
}

function ownerOf(identity: Identity): string {
  return identity.kind === 'agent' ? `agent ${identity.builderId}` : `token ${identity.id}`;
}
