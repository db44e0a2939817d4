/** The builder on this machine. */
import { messageOf } from '../basics/index.ts';
import { defaultMaxLogBytes, type LocalNix, type NixStore, type RealiseResult } from '../nix/index.ts';
import type { AttemptRequest, AttemptResult, Builder } from './types.ts';

export interface LocalBuilderOptions {
  /** The builder owns it, and closes it. */
  readonly store: NixStore;
  readonly nix: Pick<LocalNix, 'system' | 'extraPlatforms' | 'systemFeatures'>;
  /** Row in `builders`; 0, the default, where there is no database. */
  readonly id?: number;
  readonly name: string;
  /** Builds at the same time. Whoever hands out attempts keeps to it. */
  readonly slots: number;
  /** Bytes of output, newlines included, after which a build is stopped. */
  readonly maxLogBytes?: number;
  readonly speed?: number;
}

/** A builder that builds in a store of this machine. */
export function createLocalBuilder(options: LocalBuilderOptions): Builder {
  const { store, nix } = options;
  const maxLogBytes = options.maxLogBytes ?? defaultMaxLogBytes;
  return {
    id: options.id ?? 0,
    name: options.name,
    kind: 'local',
    systems: [nix.system, ...nix.extraPlatforms],
    features: nix.systemFeatures,
    mandatoryFeatures: [],
    trustDomains: ['trusted'],
    slots: options.slots,
    speed: options.speed ?? 1,
    accepting: true,
    probe: async () => {
      await store.queryValidPaths([]);
    },
    attempt: async (request) => {
      const startedAt = new Date();
      const result = await realiseWithin(store, request, maxLogBytes);
      return attemptResult(result, startedAt);
    },
    close: () => store.close(),
  };
}

/** Realises, and stops what prints more than it may. Does not reject. */
async function realiseWithin(
  store: NixStore,
  request: AttemptRequest,
  maxLogBytes: number,
): Promise<RealiseResult> {
  const tooMuch = new AbortController();
  let printed = 0;
  const onLogLine = (line: Buffer) => {
    if (tooMuch.signal.aborted) return;
    printed += line.length + 1;
    if (printed > maxLogBytes) tooMuch.abort();
    else request.onLogLine(line);
  };
  try {
    const signal = AbortSignal.any([request.signal, tooMuch.signal]);
    const result = await store.realise({ ...request, signal, onLogLine });
    if (!tooMuch.signal.aborted || result.status !== 'cancelled') return result;
    const message = `The build printed more than ${maxLogBytes} bytes and was stopped.`;
    return { status: 'log-limit', message, outputs: {} };
  } catch (error) {
    return { status: 'infrastructure', message: messageOf(error), outputs: {} };
  }
}

function attemptResult(result: RealiseResult, startedAt: Date): AttemptResult {
  return { ...result, startedAt, finishedAt: new Date() };
}
