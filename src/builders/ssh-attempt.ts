/**
 * One attempt on a machine with a store of its own: inputs go there, the build runs, outputs come back.
 *
 * A machine that does not trust us takes only what proves itself. Then the derivation is brought with
 * all that it depends on, and the machine builds or substitutes what it lacks of that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { OperatorError } from '../basics/index.ts';
import {
  type ClosureCopier,
  isGood,
  type NixStore,
  type PathSource,
  type RealiseRequest,
  type RealiseResult,
  readDerivation,
  type StoreLayout,
  statusOfTrouble,
} from '../nix/index.ts';
import { adviceOn } from './advice.ts';
import { resolveInputs } from './resolve-inputs.ts';
import type { AttemptRequest } from './types.ts';

export interface Machine {
  readonly store: NixStore;
  readonly local: NixStore;
  /** Of the local store. */
  readonly layout: StoreLayout;
  readonly there: ClosureCopier;
  readonly back: ClosureCopier;
  /** Taken for granted until it turns out otherwise. */
  trustsUs: boolean;
}

/** Builds there and brings the outputs here, or compares with those that are here. Rejects with an OperatorError when a machine fails. */
export async function buildOn(machine: Machine, request: AttemptRequest): Promise<RealiseResult> {
  const first = machine.trustsUs ? await buildTrusted(machine, request) : 'untrusted';
  if (first !== 'untrusted') return bringBack(machine, request, first);
  machine.trustsUs = false;
  return bringBack(machine, request, await buildUntrusted(machine, request));
}

/** Needs the inputs there, and nothing of how they are made. */
async function buildTrusted(machine: Machine, request: AttemptRequest): Promise<RealiseResult | 'untrusted'> {
  const read = (drvPath: string) => readDerivation(machine.layout, drvPath);
  const resolved = request.derivation ?? (await resolveInputs(await read(request.drvPath), read));
  let refused = false;
  const paths = [...resolved.inputs, ...toCompare(request)];
  const build = bringing(machine, request, paths, (error) => {
    refused = error instanceof OperatorError && error.code === 'nix-store-untrusting';
  });
  const result = await machine.store.buildDerivation(build, resolved);
  return refused || /you are not privileged to build/.test(result.message) ? 'untrusted' : result;
}

async function buildUntrusted(machine: Machine, request: AttemptRequest): Promise<RealiseResult> {
  await untilWritten(machine.local, request);
  return machine.store.realise(
    bringing(machine, request, [request.drvPath, ...toCompare(request)], () => {}),
  );
}

/** Outputs that the machine needs to compare with. */
function toCompare({ check, outputs }: AttemptRequest): readonly string[] {
  return check === true ? Object.values(outputs).filter((path) => path !== null) : [];
}

/** Milliseconds between looks, and looks. Derivations are written within seconds of when their builds were queued. */
const written = { interval: 250, looks: 240 };

/** A build may begin before its derivation is in the local store, where it is about to be written. */
async function untilWritten(local: NixStore, { drvPath, signal }: AttemptRequest): Promise<void> {
  for (let look = 0; look < written.looks && !signal.aborted; look += 1) {
    if ((await local.queryValidPaths([drvPath])).has(drvPath)) return;
    await sleep(written.interval, undefined, { signal }).catch(() => {});
  }
}

/** The request for a build that is preceded by bringing paths there. */
function bringing(
  { local, there }: Machine,
  request: AttemptRequest,
  paths: readonly string[],
  onRefusal: (error: unknown) => void,
): RealiseRequest {
  const { drvPath, signal, timeoutSeconds, maxSilentSeconds, onLogLine, onPhase, check } = request;
  const prepare = async () => {
    try {
      await there.copy({ from: fetching(local), paths, substitute: true, signal });
    } catch (error) {
      onRefusal(error);
      throw new Error(adviceOn(error));
    }
  };
  const limits = { timeoutSeconds, maxSilentSeconds };
  return {
    drvPath,
    signal,
    ...limits,
    onLogLine,
    ...(onPhase && { onPhase }),
    keep: paths,
    prepare,
    ...(check && { check }),
  };
}

/** A build has succeeded only when its outputs are here. */
async function bringBack(
  machine: Machine,
  { signal, check }: AttemptRequest,
  result: RealiseResult,
): Promise<RealiseResult> {
  if (!isGood(result.status) || check === true) return result;
  try {
    const paths = Object.values(result.outputs);
    await machine.back.copy({ from: machine.store, paths, substitute: false, signal });
    return result;
  } catch (error) {
    if (signal.aborted) return { status: 'cancelled', message: '', outputs: {} };
    const message = `The outputs could not be fetched: ${adviceOn(error)}`;
    return { status: statusOfTrouble(message), message, outputs: {} };
  }
}

/** The local store, which first substitutes what is asked of it and is not there. */
function fetching(local: NixStore): PathSource {
  return {
    nar: (path, info) => local.nar(path, info),
    pathInfos: async (paths) => {
      const known = await local.pathInfos(paths);
      const rest = paths.filter((path) => !known.has(path));
      if (rest.length === 0) return known;
      await local.validPaths(rest, true);
      return new Map([...known, ...(await local.pathInfos(rest))]);
    },
  };
}
