/**
 * A machine that is reached with nothing but ssh. An attempt brings what the derivation needs, has it
 * built there, and brings the outputs back.
 */
import type { Logger } from '../basics/index.ts';
import {
  createClosureCopier,
  defaultMaxLogBytes,
  type NixStore,
  openSshStore,
  parseSshAddress,
  type RealiseResult,
  readDerivation,
  type StoreLayout,
} from '../nix/index.ts';
import { withinLogLimit } from './log-limit.ts';
import { buildOn, type Machine } from './ssh-attempt.ts';
import type { AttemptResult, Builder } from './types.ts';

export interface SshBuilderOptions {
  /** Row in `builders`; 0, the default, where there is no database. */
  readonly id?: number;
  readonly name: string;
  /** `ssh-ng://…`, see `parseSshAddress`. */
  readonly uri: string;
  /** Where inputs come from and outputs go to. It stays open when the builder is closed. */
  readonly local: NixStore;
  readonly layout: StoreLayout;
  /** The environment of ssh. */
  readonly env: Readonly<Record<string, string>>;
  readonly logger: Logger;
  readonly systems: readonly string[];
  readonly features: readonly string[];
  readonly mandatoryFeatures?: readonly string[];
  readonly trustDomains?: readonly string[];
  readonly slots: number;
  readonly speed?: number;
  /** Processors for one build; 0, the default, for all of that machine. */
  readonly cores?: number;
  /** Seconds between signs of life; after four without any, the machine is lost. Default 5. */
  readonly aliveSeconds?: number;
  /** Bytes of output, newlines included, after which a build is stopped. */
  readonly maxLogBytes?: number;
}

/** A builder on another machine. Throws an OperatorError when `uri` is not an address of one. */
export function createSshBuilder(options: SshBuilderOptions): Builder {
  const maxLogBytes = options.maxLogBytes ?? defaultMaxLogBytes;
  const machine = openMachine(options, maxLogBytes);
  return {
    id: options.id ?? 0,
    name: options.name,
    kind: 'ssh',
    systems: options.systems,
    features: options.features,
    mandatoryFeatures: options.mandatoryFeatures ?? [],
    trustDomains: options.trustDomains ?? ['trusted'],
    slots: options.slots,
    speed: options.speed ?? 1,
    accepting: true,
    probe: () => machine.store.ping(),
    attempt: async (request) => {
      const startedAt = new Date();
      const result = await withinLogLimit(request, maxLogBytes, (limited) =>
        buildOn(machine, { ...request, ...limited }),
      );
      return attemptResult(result, options.name, startedAt);
    },
    close: () => machine.store.close(),
  };
}

function openMachine(options: SshBuilderOptions, maxLogBytes: number): Machine {
  const { local, layout } = options;
  const store = openSshStore({
    address: parseSshAddress(options.uri),
    storeDir: layout.storeDir,
    env: options.env,
    logger: options.logger,
    maxLogBytes,
    ...(options.cores !== undefined && { cores: options.cores }),
    ...(options.aliveSeconds !== undefined && { aliveSeconds: options.aliveSeconds }),
    outputsOf: async (drvPath) => {
      const { outputs } = await readDerivation(layout, drvPath);
      const known = [...outputs].flatMap(([name, { path }]) => (path === undefined ? [] : [[name, path]]));
      return Object.fromEntries(known);
    },
  });
  return {
    store,
    local,
    layout,
    there: createClosureCopier(store),
    back: createClosureCopier(local),
    trustsUs: true,
  };
}

function attemptResult(result: RealiseResult, name: string, startedAt: Date): AttemptResult {
  const finishedAt = new Date();
  if (result.status !== 'out-of-disk') return { ...result, startedAt, finishedAt };
  const message = `The disk of '${name}', or of this machine, is full: ${result.message}`;
  return { ...result, message, startedAt, finishedAt };
}
