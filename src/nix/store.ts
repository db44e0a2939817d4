/** A Nix store behind the daemon protocol: `NixStore` on top of a pool of connections. */

import { type Logger, messageOf, OperatorError } from '../basics/index.ts';
import {
  addIndirectRoot,
  buildPathsWithResults,
  ConnectionPool,
  type DaemonConnection,
  type Operation,
  ProtocolError,
  queryMissing,
  queryPathFromHashPart,
  querySubstitutablePathInfos,
  querySubstitutablePaths,
  queryValidPaths,
} from './daemon/index.ts';
import { isGood, plainMessage, statusOfError, statusOfReply } from './outcome.ts';
import type { NixStore, RealiseRequest, RealiseResult } from './types.ts';
import { watchBuild } from './watch.ts';

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
    realise: async (request) => {
      try {
        return await realise(options, pool, request);
      } catch (error) {
        options.logger.warn(
          { store: options.name, drvPath: request.drvPath, err: error },
          'build not possible',
        );
        return failed('infrastructure', messageOf(error));
      }
    },
    addIndirectRoot: async (link) => void (await ask(addIndirectRoot(link))),
    close: () => pool.close(),
  };
}

function allOutputs(drvPath: string): string {
  return `${drvPath}!*`;
}

async function realise(
  options: DaemonStoreOptions,
  pool: ConnectionPool,
  request: RealiseRequest,
): Promise<RealiseResult> {
  const { drvPath } = request;
  // Past this point the path is part of `PATH!outputs`.
  if (!drvPath.startsWith(`${options.storeDir}/`) || !/^[\w+./?=-]+\.drv$/.test(drvPath)) {
    return failed('infrastructure', `'${drvPath}' is not the path of a derivation.`);
  }
  if (request.signal.aborted) return failed('cancelled', '');
  const first = await attempt(options, pool, request, 'any');
  // A connection that was lost before it did anything had gone stale in the pool.
  return first ?? (await attempt(options, pool, request, 'fresh')) ?? lost(options.name);
}

/** One try on one connection; undefined when a used connection turned out to be dead. */
async function attempt(
  options: DaemonStoreOptions,
  pool: ConnectionPool,
  request: RealiseRequest,
  want: 'any' | 'fresh',
): Promise<RealiseResult | undefined> {
  const lease = await pool.lease(want);
  const watch = watchBuild(request, () => void lease.connection.close());
  try {
    const operation = buildPathsWithResults([allOutputs(request.drvPath)]);
    const reply = await lease.connection.call(operation, { onEvent: watch.onEvent });
    if (!reply.ok) return failed(statusOfError(reply.error.message), plainMessage(reply.error.message));
    const result = reply.value[0];
    if (result === undefined) return failed('infrastructure', 'The daemon gave no result.');
    const status = statusOfReply(result);
    if (!isGood(status)) return failed(status, plainMessage(result.message));
    const named = [...result.outputs].map(([name, base]) => [name, `${options.storeDir}/${base}`]);
    const outputs = named.length > 0 ? Object.fromEntries(named) : await options.outputsOf(request.drvPath);
    return { status, message: '', outputs };
  } catch (error) {
    // The slot is free only when the builder has stopped.
    await lease.connection.close();
    if (watch.ended !== undefined) return failed(watch.ended.status, watch.ended.message);
    if (error instanceof ProtocolError && error.reason === 'limit') {
      return failed('log-limit', `The builder printed too much at once: ${error.message}.`);
    }
    if (lease.reused && !watch.sawEvents) return undefined;
    throw error;
  } finally {
    watch.stop();
    lease.release();
  }
}

function failed(status: RealiseResult['status'], message: string): RealiseResult {
  return { status, message, outputs: {} };
}

function lost(name: string): RealiseResult {
  return failed('infrastructure', `The connection to the Nix store '${name}' was lost.`);
}
