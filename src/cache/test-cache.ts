/** For tests: a cache that listens, over a store of its own. */
import { createServer } from 'node:http';
import { join } from 'node:path';
import { silentLogger } from '../basics/index.ts';
import type { LocalNix, LocalStoreOptions, NixStore } from '../nix/index.ts';
import type { Identity } from './identity.ts';
import { type CacheOptions, openCache } from './open-cache.ts';
import { generateSecretKey, parseSecretKey } from './signing.ts';

/** A Nix with a store for tests, as `openTestNix` gives it. */
interface Machine {
  readonly nix: LocalNix;
  readonly folder: string;
  openStore(options: Partial<LocalStoreOptions>): NixStore;
  close(): Promise<void>;
}

export interface TestCache<Server extends Machine> {
  readonly server: Server;
  readonly publicKey: string;
  /** `http://user:TOKEN@127.0.0.1:PORT/cache`; without a token, without both. */
  url(token?: string): string;
  /** The requests since the last call, as `METHOD path status`. */
  requests(): string[];
  readonly lies: { readonly builderId: number; readonly what: string }[];
  close(): Promise<void>;
}

/** Serves the store of `server`, which is closed with it. */
export async function openTestCache<Server extends Machine>(
  server: Server,
  tokens: Readonly<Record<string, Identity>>,
  options: Partial<CacheOptions> = {},
): Promise<TestCache<Server>> {
  const key = parseSecretKey(generateSecretKey('cache.test-1'));
  const lies: TestCache<Server>['lies'] = [];
  const store = server.openStore({ overrides: { 'narinfo-cache-negative-ttl': '0' } });
  const cache = openCache({
    dataDir: join(server.folder, 'data'),
    key,
    store: async () => ({ store, layout: server.nix.layout }),
    authorize: async (secret) => tokens[secret],
    mayUpload: async () => true,
    isResult: async () => false,
    onLie: (builderId, what) => lies.push({ builderId, what }),
    isPublic: false,
    compression: 'zstd',
    trustedPublicKeys: [],
    maxNarBytes: 64 * 1024 * 1024,
    environment: { PATH: process.env.PATH ?? '' },
    log: silentLogger(),
    ...options,
  });
  const seen: string[] = [];
  const http = createServer((request, response) => {
    const path = request.url ?? '';
    response.once('close', () => seen.push(`${request.method} ${path} ${response.statusCode}`));
    void cache.handle(request, response, path.replace(/^\/cache\//, ''));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    server,
    publicKey: key.publicKey,
    url: (token) => `http://${token === undefined ? '' : `user:${token}@`}127.0.0.1:${port}/cache`,
    requests: () => seen.splice(0),
    lies,
    async close() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
      await cache.close();
      await store.close();
      await server.close();
    },
  };
}
