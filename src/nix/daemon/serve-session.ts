/**
 * The daemon's side of the protocol, for one client that nobody vouches for.
 *
 *   open ──greeting──> ready ──request──> busy ──reply or error──> ready
 *                        │                  └── not the protocol, refused ──> told, closed
 *                        └── the client goes ──> closed
 */
import { messageOf } from '../../basics/index.ts';
import { Channel, ConnectionLost, type Transport } from './channel.ts';
import type { DaemonEvent } from './events.ts';
import { treeOfClaim } from './serve-nar.ts';
import { errorReply, eventMessage, missingParts, pathInfoParts, replyWith } from './serve-replies.ts';
import { clientGreeting, clientPreamble, type ServedRequest, servedRequest } from './serve-requests.ts';
import type { StoreService } from './serve-service.ts';
import { encodeVersion, has, magic, newestVersion, oldestMinor } from './versions.ts';
import { encode, integer, ProtocolError, wireLimits } from './wire.ts';

export interface ServeOptions {
  /** What the client is told. */
  readonly nixVersion: string;
  readonly service: StoreService;
}

/** The newest version that is served. 1.36 and later have nothing that evaluators need. */
const servedMinor = 35;
/** Milliseconds that a client has to say who it is. */
const greetingMs = 60_000;
/** Bytes of a file tree that are passed on at a time. */
const chunkBytes = 64 * 1024;

/** Serves a client until it goes. Rejects when it does not keep to the protocol. */
export async function serveClient(transport: Transport, options: ServeOptions): Promise<void> {
  const channel = new Channel(transport);
  try {
    await greet(channel, options);
    for (;;) {
      const request = await channel.read(servedRequest());
      if (request instanceof Error) {
        channel.write(errorReply(request.message));
        throw request;
      }
      await answer(channel, options.service, request);
    }
  } catch (error) {
    if (error instanceof ConnectionLost) return;
    throw error;
  } finally {
    await channel.destroy();
  }
}

async function greet(channel: Channel, { nixVersion }: ServeOptions): Promise<void> {
  const late = setTimeout(
    () => channel.fail(new ProtocolError('the client does not say who it is')),
    greetingMs,
  );
  try {
    await channel.read(clientGreeting(magic.client));
    // Old clients tell their version when they know ours.
    channel.write(encode(magic.daemon, encodeVersion({ major: newestVersion.major, minor: servedMinor })));
    const version = await channel.read(integer());
    const minor = Math.min(version % 256, servedMinor);
    if (Math.floor(version / 256) !== newestVersion.major || minor < oldestMinor) {
      throw new ProtocolError(`the client speaks version ${version >> 8}.${version % 256} of the protocol`);
    }
    await channel.read(clientPreamble());
    const distrusted = 2;
    const trust = has(minor, 'trust') ? [distrusted] : [];
    channel.write(Buffer.concat([encode(nixVersion, ...trust), replyWith()]));
  } finally {
    clearTimeout(late);
  }
}

async function answer(channel: Channel, service: StoreService, request: ServedRequest): Promise<void> {
  if (request.name === 'AddToStore' || request.name === 'AddToStoreNar') {
    return addTree(channel, service, request);
  }
  try {
    channel.write(await replyTo(channel, service, request));
  } catch (error) {
    if (error instanceof ConnectionLost || error instanceof ProtocolError) throw error;
    channel.write(errorReply(messageOf(error)));
  }
}

async function replyTo(
  channel: Channel,
  service: StoreService,
  request: Exclude<ServedRequest, AddRequest>,
): Promise<Buffer> {
  const done = 1;
  const tell = (event: DaemonEvent) => channel.write(eventMessage(event));
  switch (request.name) {
    case 'AddDerivation': {
      const { path, info } = service.addDerivation(request.fileName, request.content, request.references);
      return replyWith(path, ...pathInfoParts(info));
    }
    case 'IsValidPath':
      return replyWith(await service.isValidPath(request.path));
    case 'QueryPathInfo': {
      const info = await service.pathInfo(request.path);
      return info === undefined ? replyWith(false) : replyWith(true, ...pathInfoParts(info));
    }
    case 'QueryPathFromHashPart':
      return replyWith((await service.pathFromHashPart(request.hashPart)) ?? '');
    case 'QueryValidPaths':
      return replyWith([...(await service.validPaths(request.paths, request.substitute))]);
    case 'QuerySubstitutablePaths':
      return replyWith([...(await service.substitutablePaths(request.paths))]);
    case 'QueryMissing':
      return replyWith(...missingParts(await service.missing(request.paths)));
    case 'QueryDerivationOutputMap': {
      const outputs = await service.outputs(request.path);
      return replyWith(outputs.size, ...[...outputs].flatMap(([name, path]) => [name, path ?? '']));
    }
    case 'EnsurePath':
      await service.ensurePath(request.path);
      return replyWith(done);
    case 'AddTempRoot':
      await service.addTempRoot(request.path);
      return replyWith(done);
    case 'AddIndirectRoot':
      await service.addIndirectRoot(request.link);
      return replyWith(done);
    case 'SyncWithCollector':
      return replyWith(done);
    case 'SetOptions':
      service.setOptions(request.options);
      return replyWith();
    case 'BuildPaths':
      if (request.mode !== 0) throw new Error('only ordinary builds are for evaluations');
      await service.build(request.paths, tell);
      return replyWith(done);
    case 'BuildPathsWithResults':
      throw new Error('builds with results are not for evaluations');
  }
}

type AddRequest = Extract<ServedRequest, { name: 'AddToStore' | 'AddToStoreNar' }>;

/** The content is read to its end whatever comes of it: what follows is the next request. */
async function addTree(channel: Channel, service: StoreService, request: AddRequest): Promise<void> {
  const content = frames(channel);
  let reply: Buffer;
  try {
    const tell = (event: DaemonEvent) => channel.write(eventMessage(event));
    if (request.name === 'AddToStore') {
      const { path, info } = await service.addTree({ ...request, content }, tell);
      reply = replyWith(path, ...pathInfoParts(info));
    } else {
      const tree = treeOfClaim(request, content);
      if (tree === undefined)
        throw new Error(`the name of '${request.path}' does not follow from its content`);
      const { path } = await service.addTree(tree, tell);
      if (path !== request.path)
        throw new Error(`'${request.path}' is not what was added, which is '${path}'`);
      reply = replyWith();
    }
  } catch (error) {
    if (!channel.usable || error instanceof ProtocolError) throw error;
    reply = errorReply(messageOf(error));
  }
  await content.drain();
  channel.write(reply);
}

interface Frames extends AsyncIterable<Buffer> {
  /** Reads and drops what is left. */
  drain(): Promise<void>;
}

/** The frames of a content, in pieces of a size that can be held. */
function frames(channel: Channel): Frames {
  let left = 0;
  let ended = false;
  const next = async (): Promise<Buffer | undefined> => {
    if (ended) return undefined;
    if (left === 0) left = await channel.read(frameLength());
    if (left === 0) {
      ended = true;
      return undefined;
    }
    const size = Math.min(left, chunkBytes);
    const chunk = await channel.read(exactly(size));
    left -= size;
    return chunk;
  };
  return {
    async *[Symbol.asyncIterator]() {
      for (let chunk = await next(); chunk !== undefined; chunk = await next()) yield chunk;
    },
    drain: async () => {
      while ((await next()) !== undefined);
    },
  };
}

function* frameLength(): Generator<number, number, Buffer> {
  const length = yield* integer();
  if (length > wireLimits.textBytes) throw new ProtocolError('a frame is too large', 'limit');
  return length;
}

function* exactly(size: number): Generator<number, Buffer, Buffer> {
  return yield size;
}
