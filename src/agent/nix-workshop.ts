/** The workshop of a machine with Nix, and with the server's binary cache to fetch from and upload to. */
import { accessSync, constants } from 'node:fs';
import type { Logger } from '../basics/index.ts';
import {
  createClosureCopier,
  isGood,
  type LocalNix,
  openLocalStore,
  type PathSink,
  type PathSource,
  parseDerivation,
  type RealiseResult,
} from '../nix/index.ts';
import { type BuildWatcher, pathsNeeded, type WorkOrder, type Workshop } from './workshop.ts';

export interface NixWorkshopOptions {
  readonly nix: LocalNix;
  /** The server's cache, with the agent's token. */
  readonly cache: PathSource & PathSink;
  readonly log: Logger;
}

export function openNixWorkshop({ nix, cache, log }: NixWorkshopOptions): Workshop {
  const store = openLocalStore({ nix, logger: log });
  const incoming = createClosureCopier(store);
  const outgoing = createClosureCopier(cache);
  return {
    nixVersion: nix.version,
    storeDir: nix.storeDir,
    realStoreDir: nix.layout.realStoreDir,
    systems: [nix.system, ...nix.extraPlatforms],
    features: nix.systemFeatures.filter((feature) => feature !== 'kvm' || usable('/dev/kvm')),
    async fetchInputs(paths, signal) {
      await incoming.copy({ from: cache, paths, substitute: true, signal });
    },
    async build(order, watcher) {
      const limited = limitLog(order, watcher);
      const derivation = parseDerivation(order.derivation);
      const result = await store.buildDerivation(
        {
          drvPath: order.drvPath,
          signal: limited.signal,
          timeoutSeconds: order.timeoutSeconds,
          maxSilentSeconds: order.maxSilentSeconds,
          keep: pathsNeeded(order),
          check: order.check,
          prepare: watcher.prepare,
          onPhase: watcher.onPhase,
          onLogLine: limited.onLogLine,
        },
        { derivation, inputs: order.inputs },
      );
      return limited.judge(withOutputs(result, order));
    },
    async upload(paths, signal) {
      await outgoing.copy({ from: store, paths, substitute: false, signal });
    },
    close: () => store.close(),
  };
}

/** Stops a build that prints more than it may. */
function limitLog({ maxLogBytes }: WorkOrder, { signal, onLogLine }: BuildWatcher) {
  const tooMuch = new AbortController();
  let printed = 0;
  return {
    signal: AbortSignal.any([signal, tooMuch.signal]),
    onLogLine: (line: Buffer) => {
      if (tooMuch.signal.aborted) return;
      printed += line.length + 1;
      if (maxLogBytes > 0 && printed > maxLogBytes) tooMuch.abort();
      else onLogLine(line);
    },
    judge: (result: RealiseResult): RealiseResult => {
      if (!tooMuch.signal.aborted || result.status !== 'cancelled') return result;
      const message = `The build printed more than ${maxLogBytes} bytes and was stopped.`;
      return { status: 'log-limit', message, outputs: {} };
    },
  };
}

/** Some daemons do not name outputs whose paths were known before. */
function withOutputs(result: RealiseResult, order: WorkOrder): RealiseResult {
  if (!isGood(result.status) || Object.keys(result.outputs).length > 0) return result;
  return { ...result, outputs: order.outputs };
}

function usable(device: string): boolean {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
