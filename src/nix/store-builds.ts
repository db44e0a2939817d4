/** The part of a store that builds: one build a connection, which is closed to end it. */
import { messageOf } from '../basics/index.ts';
import {
  addTempRoot,
  type BuildReply,
  buildDerivation,
  buildPathsWithResults,
  type ConnectionPool,
  type DaemonConnection,
  type Operation,
  ProtocolError,
} from './daemon/index.ts';
import { isGood, plainMessage, statusOfError, statusOfReply, statusOfTrouble } from './outcome.ts';
import type { RealiseRequest, RealiseResult, ResolvedDerivation } from './types.ts';
import { type BuildWatch, watchBuild } from './watch.ts';
import { wireDerivation } from './wire-derivation.ts';

export interface BuildingStore {
  readonly name: string;
  readonly storeDir: string;
  readonly pool: ConnectionPool;
  readonly outputsOf: (drvPath: string) => Promise<Readonly<Record<string, string>>>;
  /** What a connection was told to keep from being collected: it does so for as long as it lives. */
  readonly kept: WeakMap<DaemonConnection, Set<string>>;
}

/** Builds or substitutes a derivation that is in the store, and what it needs. */
export function realise(store: BuildingStore, request: RealiseRequest): Promise<RealiseResult> {
  const operation = buildPathsWithResults([`${request.drvPath}!*`], modeOf(request));
  return build(store, request, operation, (replies) => replies[0]);
}

/** Builds a derivation whose inputs are valid in the store; the derivation itself need not be. */
export function buildResolved(
  store: BuildingStore,
  request: RealiseRequest,
  resolved: ResolvedDerivation,
): Promise<RealiseResult> {
  const operation = buildDerivation(request.drvPath, wireDerivation(resolved), modeOf(request));
  const { outputs } = resolved.derivation;
  const known = [...outputs].flatMap(([name, { path }]) => (path === undefined ? [] : [[name, path]]));
  return build(
    { ...store, outputsOf: async () => Object.fromEntries(known) },
    request,
    operation,
    (reply) => reply,
  );
}

function modeOf({ check }: RealiseRequest) {
  return check === true ? 'check' : 'normal';
}

async function build<T>(
  store: BuildingStore,
  request: RealiseRequest,
  operation: Operation<T>,
  replyIn: (value: T) => BuildReply | undefined,
): Promise<RealiseResult> {
  const { drvPath, signal } = request;
  // Past this point the path is part of `PATH!outputs`.
  if (!drvPath.startsWith(`${store.storeDir}/`) || !/^[\w+./?=-]+\.drv$/.test(drvPath)) {
    return failed('infrastructure', `'${drvPath}' is not the path of a derivation.`);
  }
  if (signal.aborted) return failed('cancelled', '');
  const first = await attempt('any');
  // A connection that was lost before it did anything had gone stale in the pool.
  return first ?? (await attempt('fresh')) ?? lost(store.name);

  /** One try on one connection; undefined when a used connection turned out to be dead. */
  async function attempt(want: 'any' | 'fresh'): Promise<RealiseResult | undefined> {
    const lease = await store.pool.lease(want);
    let watch: BuildWatch | undefined;
    const cancel = () => void lease.connection.close();
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      const kept = store.kept.get(lease.connection) ?? new Set();
      const toKeep = (request.keep ?? []).filter((path) => !kept.has(path));
      const keep = toKeep.map(addTempRoot);
      if (request.prepare) await lease.connection.callAll(keep);
      const trouble = await request.prepare?.().then(() => undefined, messageOf);
      if (signal.aborted) return failed('cancelled', '');
      if (trouble !== undefined) return failed(statusOfTrouble(trouble), trouble);
      // Time that went into bringing inputs is not the build's.
      watch = watchBuild(request, cancel);
      const before = request.prepare ? [] : keep;
      const reply = await lease.connection.call(operation, { onEvent: watch.onEvent, before });
      store.kept.set(lease.connection, kept);
      for (const path of toKeep) kept.add(path);
      if (!reply.ok) return failed(statusOfError(reply.error.message), plainMessage(reply.error.message));
      const result = replyIn(reply.value);
      if (result === undefined) return failed('infrastructure', 'The daemon gave no result.');
      const status = statusOfReply(result);
      if (!isGood(status)) return failed(status, plainMessage(result.message));
      const named = [...result.outputs].map(([name, base]) => [name, `${store.storeDir}/${base}`]);
      const outputs = named.length > 0 ? Object.fromEntries(named) : await store.outputsOf(drvPath);
      return { status, message: '', outputs };
    } catch (error) {
      // The slot is free only when the builder has stopped.
      await lease.connection.close();
      if (watch?.ended !== undefined) return failed(watch.ended.status, watch.ended.message);
      if (signal.aborted) return failed('cancelled', '');
      if (error instanceof ProtocolError && error.reason === 'limit') {
        return failed('log-limit', `The builder printed too much at once: ${error.message}.`);
      }
      if (lease.reused && !watch?.sawEvents) return undefined;
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
      watch?.stop();
      lease.release();
    }
  }
}

export function failed(status: RealiseResult['status'], message: string): RealiseResult {
  return { status, message, outputs: {} };
}

function lost(name: string): RealiseResult {
  return failed('infrastructure', `The connection to the Nix store '${name}' was lost.`);
}
