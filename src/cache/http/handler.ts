/**
 * The binary cache over HTTP, as Nix asks for it:
 *
 *   GET, HEAD   nix-cache-info, HASH.narinfo, nar/NAME
 *   PUT         nar/NAME, then HASH.narinfo; nix-cache-info is let pass and changes nothing
 *
 * It works on Node's own requests and responses, so that any server can mount it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Logger, messageOf, OperatorError } from '../../basics/index.ts';
import { isConnectionError } from '../../postgres/index.ts';
import type { Catalogue, CatalogueEntry } from '../catalogue.ts';
import type { Transcoders } from '../compression.ts';
import { type Authorize, type Identity, secretOf } from '../identity.ts';
import { maxNarInfoBytes } from '../nar-info.ts';
import type { CacheStore } from '../store.ts';
import { type Uploads, uploadName } from '../upload.ts';
import { answer, answerBytes, bytesOf, refuse, textOf } from './answers.ts';
import { Refusal } from './refusal.ts';

/** What answers requests once it is known which store and which key there are. */
export interface CacheParts {
  readonly store: CacheStore;
  readonly catalogue: Catalogue;
  readonly uploads: Uploads;
  readonly transcoders: Transcoders;
}

export interface CacheHandlerOptions {
  /** Rejects with an OperatorError while there is no store, for example because Nix is missing. */
  readonly parts: () => Promise<CacheParts>;
  readonly authorize: Authorize;
  /** Whether everybody may read. Uploading always takes a token. */
  readonly isPublic: boolean;
  readonly log: Logger;
}

/** Answers a request. `path` is what follows the address of the cache: `HASH.narinfo`. */
export type CacheHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
) => Promise<void>;

/** Lower is asked first; cache.nixos.org has 40. */
const priority = 30;

/** Bytes of a NAR up to which it is put together before it is sent. */
const smallNarBytes = 64 * 1024;

const narInfoPath = /^([0-9a-df-np-sv-z]{32})\.narinfo$/;
const narPath = /^nar\/([0-9a-df-np-sv-z]{32})-[0-9a-df-np-sv-z]{52}\.nar(?:\.zst)?$/;

export function createCacheHandler(options: CacheHandlerOptions): CacheHandler {
  return async (request, response, path) => {
    try {
      await respond(options, request, response, path);
    } catch (error) {
      if (response.headersSent) {
        // A client that went away is none of our business; anything else can only be cut.
        if (!request.destroyed) options.log.warn({ err: error, path }, 'an answer of the cache was cut');
        response.destroy();
        return;
      }
      refuse(request, response, asRefusal(error, options.log, path));
    }
  };
}

async function respond(
  options: CacheHandlerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): Promise<void> {
  const { method } = request;
  const reading = method === 'GET' || method === 'HEAD';
  if (!reading && method !== 'PUT') throw new Refusal(405, 'a cache knows GET, HEAD and PUT');
  const identity = await identityOf(options, request);
  if (identity === undefined && !(reading && options.isPublic)) {
    throw new Refusal(401, 'this cache needs a token: as a password, in the URL or in a netrc file');
  }
  const parts = await options.parts();
  if (reading) await read(parts, request, response, path, identity);
  else if (identity !== undefined) await write(parts, request, response, path, identity);
}

/** A secret that is wrong is an error even where none is needed. */
async function identityOf(options: CacheHandlerOptions, request: IncomingMessage) {
  const secret = secretOf(request);
  if (secret === undefined) return undefined;
  const identity = await options.authorize(secret);
  if (identity === undefined) throw new Refusal(401, 'this token is not known, or not any more');
  return identity;
}

async function read(
  parts: CacheParts,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  identity: Identity | undefined,
): Promise<void> {
  if (path === 'nix-cache-info') {
    const text = `StoreDir: ${parts.store.storeDir}\nWantMassQuery: 1\nPriority: ${priority}\n`;
    answer(request, response, 200, text, { 'content-type': 'text/x-nix-cache-info' });
    return;
  }
  const asked = narInfoPath.exec(path)?.[1] ?? narPath.exec(path)?.[1];
  const entry = asked === undefined ? undefined : await parts.catalogue.find(asked);
  if (entry !== undefined && path.endsWith('.narinfo')) {
    answer(request, response, 200, entry.narInfo, { 'content-type': 'text/x-nix-narinfo' });
  } else if (entry !== undefined && path === `nar/${entry.narName}`) {
    await sendNar(parts, request, response, entry);
  } else if (identity !== undefined && request.method === 'HEAD' && waits(parts, identity, path)) {
    answer(request, response, 200, '');
  } else answer(request, response, 404, 'not here\n', { 'cache-control': 'no-store' });
}

/** Nix asks before it uploads a NAR. */
function waits(parts: CacheParts, identity: Identity, path: string): boolean {
  return path.startsWith('nar/') && parts.uploads.waiting(identity, path.slice(4)) !== undefined;
}

async function sendNar(
  parts: CacheParts,
  request: IncomingMessage,
  response: ServerResponse,
  entry: CatalogueEntry,
): Promise<void> {
  const { path, info, compression } = entry;
  const type = { 'content-type': 'application/x-nix-nar' };
  const nar = () => parts.store.nar(path, info);
  if (compression !== 'none') {
    await answerBytes(request, response, () => parts.transcoders.compress(compression, nar()), type);
  } else if (info.narBytes > smallNarBytes || request.method === 'HEAD') {
    await answerBytes(request, response, nar, { ...type, 'content-length': info.narBytes });
  } else {
    const chunks: Buffer[] = [];
    for await (const chunk of nar()) chunks.push(chunk);
    answer(request, response, 200, Buffer.concat(chunks), type);
  }
}

async function write(
  parts: CacheParts,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  identity: Identity,
): Promise<void> {
  if (identity.kind === 'token' && identity.scope !== 'admin') {
    throw new Refusal(403, 'this token is only for reading');
  }
  const narName = path.startsWith('nar/') ? path.slice(4) : '';
  const hashPart = narInfoPath.exec(path)?.[1];
  if (uploadName.test(narName)) await parts.uploads.receiveNar(identity, narName, bytesOf(request));
  else if (hashPart !== undefined) {
    await parts.uploads.receiveNarInfo(identity, hashPart, await textOf(request, maxNarInfoBytes));
  } else if (path === 'nix-cache-info') await textOf(request, maxNarInfoBytes);
  else throw new Refusal(404, 'nothing can be uploaded to this address');
  answer(request, response, 201, '');
}

function asRefusal(error: unknown, log: Logger, path: string): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof OperatorError || isConnectionError(error)) {
    log.warn({ reason: messageOf(error), path }, 'a request to the cache could not be served');
    return new Refusal(
      503,
      error instanceof OperatorError ? error.message : 'the database does not answer right now',
    );
  }
  log.error({ err: error, path }, 'a request to the cache failed');
  return new Refusal(500, 'something went wrong on this server');
}
