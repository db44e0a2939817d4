/**
 * This machine as an evaluator and a builder: the installed Nix, its store, the local builder and
 * the evaluator. All of it may be missing: the server then runs, says so, and looks again when it
 * is needed next, so that installing Nix needs no restart.
 */
import { join } from 'node:path';
import type { Config } from '../basics/config/index.ts';
import { type Logger, messageOf, OperatorError } from '../basics/index.ts';
import { type Builder, createLocalBuilder } from '../builders/index.ts';
import { createMissingPlanner } from '../builds/index.ts';
import {
  createEvaluator,
  createWitnesses,
  type Evaluator,
  type Planning,
  type Witnesses,
} from '../evaluations/index.ts';
import {
  createPendingDerivations,
  createTextWriter,
  detectNix,
  isTrusted,
  type LocalNix,
  type NixStore,
  openLocalStore,
  type TextWriter,
} from '../nix/index.ts';

export interface NixMachineOptions {
  readonly config: Pick<Config, 'dataDir' | 'builds' | 'evaluation'>;
  /** Of this process: Nix is found on its PATH. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** Called once, when all was found. */
  readonly onReady: (working: WorkingNix) => void;
}

/** What the machine can do, once Nix was found. */
export interface WorkingNix {
  readonly nix: LocalNix;
  readonly store: NixStore;
  readonly builder: Builder;
  readonly evaluator: Evaluator;
  readonly texts: TextWriter;
  readonly witnesses: Witnesses;
  /** For one evaluation. */
  openPlanning(): Planning;
}

export interface NixMachine {
  /** Rejects with an OperatorError that says what is missing. */
  get(): Promise<WorkingNix>;
  /** What was found missing when somebody asked last; undefined when all is there. */
  readonly problem: OperatorError | undefined;
  close(): Promise<void>;
}

/** After Nix was found missing, how long it is taken to be missing still. */
const lookAgainMs = 10_000;

export function createNixMachine(options: NixMachineOptions): NixMachine {
  let found: Promise<WorkingNix> | undefined;
  let failedAt = 0;
  let problem: OperatorError | undefined;

  async function look(): Promise<WorkingNix> {
    try {
      const working = await openMachine(options);
      problem = undefined;
      options.log.info(
        {
          nix: working.nix.version,
          store: working.nix.ownStore,
          sandbox: working.nix.sandbox,
          evaluator: working.evaluator.name,
        },
        'Nix is ready',
      );
      options.onReady(working);
      return working;
    } catch (error) {
      failedAt = Date.now();
      problem =
        error instanceof OperatorError
          ? error
          : new OperatorError({ code: 'nix-unusable', message: `Nix cannot be used: ${messageOf(error)}` });
      throw problem;
    }
  }

  return {
    get() {
      if (found && problem && Date.now() - failedAt > lookAgainMs) found = undefined;
      found ??= look();
      return found;
    },
    get problem() {
      return problem;
    },
    async close() {
      const working = await found?.catch(() => undefined);
      // Closes the store as well.
      await working?.builder.close();
      await working?.texts.close();
    },
  };
}

async function openMachine({ config, environment, log }: NixMachineOptions): Promise<WorkingNix> {
  const { builds, evaluation } = config;
  const nix = await detectNix(environment, {
    home: join(config.dataDir, 'nix-home'),
    sandbox: builds.sandbox,
  });
  const store = openLocalStore({ nix, logger: log, maxLogBytes: builds.logLimit });
  const evaluator = await createEvaluator({
    nix: {
      env: nix.environment,
      nixInstantiate: nix.programs['nix-instantiate'],
      store: nix.layout,
      readablePaths: evaluation.readablePaths,
    },
    log,
    allowedUris: evaluation.allowedUris,
    jail: evaluation.jail,
    systems: evaluation.systems,
    workers: evaluation.workers,
    importBuilds: evaluation.importBuilds,
    ...(evaluation.evaluator === 'auto' ? {} : { prefer: evaluation.evaluator }),
  });
  const builder = createLocalBuilder({
    store,
    nix,
    name: 'local',
    slots: builds.slots,
    maxLogBytes: builds.logLimit,
  });
  const texts = createTextWriter({
    access: nix.access,
    nixDaemon: nix.programs['nix-daemon'],
    env: nix.environment,
  });
  const witnesses = createWitnesses({ storeDir: nix.storeDir, store, texts });
  const openPlanning = () => {
    const derivations = createPendingDerivations(texts);
    const planner = createMissingPlanner({
      store,
      layout: nix.layout,
      derivations,
      withTexts: isTrusted(nix.access),
    });
    return { planner, derivations, witnesses };
  };
  return { nix, store, builder, evaluator, texts, witnesses, openPlanning };
}
