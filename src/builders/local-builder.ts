/** The builder on this machine. */
import {
  defaultMaxLogBytes,
  isGood,
  type LocalNix,
  type NixStore,
  type RealiseResult,
} from '../nix/index.ts';
import { withinLogLimit } from './log-limit.ts';
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
      const result = await withinLogLimit(request, maxLogBytes, (limited) =>
        build(store, { ...request, ...limited }),
      );
      return attemptResult(result, startedAt);
    },
    close: () => store.close(),
  };
}

/** Nix of any version, when inputs are neither there nor to be fetched. */
const inputsGone = /some dependencies of '.*' are missing|dependenc.* failed to build/;

async function build(store: NixStore, request: AttemptRequest): Promise<RealiseResult> {
  const { derivation, drvPath } = request;
  if (!derivation) return store.realise(request);
  const result = await store.buildDerivation({ ...request, keep: derivation.inputs }, derivation);
  if (isGood(result.status) || !inputsGone.test(result.message)) return result;
  // Somebody has collected them. With the derivations Nix can make them again.
  const [written] = await store.queryValidPaths([drvPath]);
  if (written !== undefined) return store.realise(request);
  // The evaluation that makes them again may be under way: after a crash it begins anew.
  return { ...result, status: 'infrastructure' };
}

function attemptResult(result: RealiseResult, startedAt: Date): AttemptResult {
  return { ...result, startedAt, finishedAt: new Date() };
}
