/** A Nix store behind the daemon protocol: `NixStore` on top of a pool of connections. */

import { type Logger, messageOf, OperatorError } from '../basics/index.ts';
import {
  addIndirectRoot,
  ConnectionPool,
  type DaemonConnection,
  type Operation,
  queryMissing,
  queryPathFromHashPart,
  querySubstitutablePathInfos,
  querySubstitutablePaths,
  queryValidPaths,
} from './daemon/index.ts';
import { plainMessage, statusOfTrouble } from './outcome.ts';
import { buildResolved, failed, realise } from './store-builds.ts';
import { storePaths } from './store-paths.ts';
import type { NixStore, RealiseRequest, RealiseResult } from './types.ts';

export interface DaemonStoreOptions {
  /** For messages: `local`, `ssh-ng://host`, … */
  readonly name: string;
  readonly storeDir: string;
  readonly connect: () => Promise<DaemonConnection>;
  /**
   * Output names and paths as the `.drv` file says; asked when the daemon names none, as the newest
   * versions do for clients that have not asked for a certain feature.
   */
  readonly outputsOf: (drvPath: string) => Promise<Readonly<Record<string, string>>>;
  readonly logger: Logger;
}

/** Milliseconds. */
const pingTimeout = 30_000;

/** Opens a store. Nothing is connected before something is asked. */
export function openDaemonStore(options: DaemonStoreOptions): NixStore {
  const pool = new ConnectionPool({ name: options.name, open: options.connect });

  const ask = async <T>(operation: Operation<T>): Promise<T> => {
    const reply = await pool.query(operation);
    if (reply.ok) return reply.value;
    throw new OperatorError({
      code: 'nix-store-error',
      message: `The Nix store '${options.name}' answered: ${plainMessage(reply.error.message)}`,
    });
  };

  const store = { ...options, pool, kept: new WeakMap<DaemonConnection, Set<string>>() };
  const telling = async (request: RealiseRequest, run: () => Promise<RealiseResult>) => {
    try {
      return await run();
    } catch (error) {
      const { drvPath } = request;
      options.logger.warn({ store: options.name, drvPath, err: error }, 'build not possible');
      const message = messageOf(error);
      return failed(statusOfTrouble(message), message);
    }
  };

  return {
    name: options.name,
    queryMissing: async (drvPaths) => {
      const { willBuild, willSubstitute, unknown } = await ask(queryMissing(drvPaths.map(allOutputs)));
      return { willBuild, willSubstitute, unknown };
    },
    queryValidPaths: (paths) => ask(queryValidPaths(paths)),
    pathOfHash: (hashPart) => ask(queryPathFromHashPart(hashPart)),
    querySubstitutable: async (paths) => {
      if (paths.length === 0) return new Set();
      // The many first, which the daemon asks for at the same time; then those that only substituters
      // have that it does not ask that way. What was asked before, it remembers.
      const found = await ask(querySubstitutablePaths(paths));
      const rest = paths.filter((path) => !found.has(path));
      if (rest.length === 0) return found;
      return new Set([...found, ...(await ask(querySubstitutablePathInfos(rest)))]);
    },
    realise: (request) => telling(request, () => realise(store, request)),
    buildDerivation: (request, resolved) => telling(request, () => buildResolved(store, request, resolved)),
    ...storePaths(options.name, pool),
    ping: async () => void (await pool.query(queryValidPaths([]), pingTimeout)),
    addIndirectRoot: async (link) => void (await ask(addIndirectRoot(link))),
    close: () => pool.close(),
  };
}

function allOutputs(drvPath: string): string {
  return `${drvPath}!*`;
}
