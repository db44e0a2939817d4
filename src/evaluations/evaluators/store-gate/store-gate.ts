/**
 * The way from an evaluation to the store: a daemon of our own on a socket, which stands inside the
 * jail where there is one. So nothing in the jail can write the store or its database; what import
 * from derivation builds is built outside, in Nix's own sandbox; and most derivations are never
 * written at all.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, messageOf, OperatorError } from '../../../basics/index.ts';
import {
  type PendingDerivations,
  type StoreLayout,
  serveClient,
  type Transport,
} from '../../../nix/index.ts';
import type { Audit } from './audit.ts';
import { createGateService } from './gate-service.ts';
import { createImports, type ImportsOptions } from './imports.ts';
import type { Trail } from './trail.ts';
import { createUpstreamPool, type OpenTransport } from './upstream.ts';

export interface StoreGateOptions extends Pick<ImportsOptions, 'limits' | 'waiting' | 'turns' | 'onImport'> {
  readonly storeDir: string;
  /** Connects to the store. */
  readonly openTransport: OpenTransport;
  readonly derivations: PendingDerivations;
  readonly onLookedAt?: (() => void) | undefined;
  readonly trail: Trail;
  readonly audit?: Audit | undefined;
  readonly trusted: boolean;
  /** Nothing that holds one of them is added to the store. */
  readonly secrets: readonly string[];
  /** Private folder of the evaluation, for the socket. */
  readonly directory: string;
  readonly log: Logger;
}

export interface StoreGate {
  readonly socket: string;
  /** Ends all connections and what is built through them. */
  close(): Promise<void>;
}

/** Bytes of the longest path of a socket, on the strictest system. */
const socketPathBytes = 100;

/** Evaluator processes at the same time, with some to spare. */
const maxClients = 64;

/** Whoever asks is not trusted, whatever the store takes this program for. */
const strictSettings = { 'keep-failed': 'false' } as const;

export async function openStoreGate(options: StoreGateOptions): Promise<StoreGate> {
  const { folder, remove } = await socketFolder(options.directory);
  const socket = join(folder, 'socket');
  const upstreams = createUpstreamPool(options.openTransport, strictSettings);
  const imports = createImports({ ...options, upstreams });
  const secrets = options.secrets.map((secret) => Buffer.from(secret));
  const clients = new Set<Promise<void>>();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    sockets.add(client);
    const served = serve(client).finally(() => {
      sockets.delete(client);
      clients.delete(served);
    });
    clients.add(served);
  });
  server.maxConnections = maxClients;

  async function serve(client: Socket): Promise<void> {
    const upstream = upstreams.lease();
    // Whoever has gone does not wait for a build.
    client.once('close', () => void upstream.release());
    try {
      const service = createGateService({ ...options, upstream, imports, secrets });
      await serveClient(transportOf(client), { nixVersion: 'ringmaster', service });
    } catch (error) {
      options.log.warn({ reason: messageOf(error) }, 'an evaluator was cut off from the store');
    } finally {
      await upstream.release();
    }
  }

  await listening(server, socket);
  return {
    socket,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const client of sockets) client.destroy();
      await upstreams.close();
      await Promise.all(clients);
      await closed;
      await remove();
    },
  };
}

/** The address of the store behind a gate; the files of the store are read without asking. */
export function gateAddress(socket: string, layout: StoreLayout): string {
  const root = layout.realStoreDir.slice(0, -layout.storeDir.length);
  return `unix://${socket}${root === '' ? '' : `?root=${encodeURIComponent(root)}`}`;
}

/** A folder whose sockets can be named: the evaluation's own may have too long a name. */
async function socketFolder(directory: string) {
  const own = join(directory, 'gate');
  if (Buffer.byteLength(join(own, 'socket')) <= socketPathBytes) {
    await mkdir(own, { mode: 0o700 });
    return { folder: own, remove: async () => {} };
  }
  const folder = await mkdtemp(join(tmpdir(), 'ringmaster-gate-'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

function listening(server: Server, socket: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new OperatorError({
          code: 'store-gate-failed',
          message: `The socket for the evaluation cannot be made: ${cause.message}`,
          cause,
        }),
      ),
    );
    server.listen(socket, () => resolve());
  });
}

function transportOf(client: Socket): Transport {
  return {
    name: 'the evaluator',
    input: client,
    output: client,
    destroy: async () => void client.destroySoon(),
    lastWords: async () => '',
  };
}
