/**
 * The roles that need Nix: evaluating and building. Where Nix is missing, evaluations end with that
 * reason, and building starts as soon as it is there.
 */
import { type Logger, messageOf } from '../basics/index.ts';
import { type BuilderFleet, createBuilderFleet } from '../builders/index.ts';
import { type Dispatcher, holdDerivations, startDispatcher } from '../builds/index.ts';
import { createVerifier } from '../cache/index.ts';
import {
  type ClaimedEvaluation,
  type Coordinator,
  createProvenance,
  settleAfterBuilds,
  startCoordinator,
} from '../evaluations/index.ts';
import { createQuestions, type GitHubApp, openPins } from '../github/index.ts';
import type { Database } from '../postgres/index.ts';
import { type Checkouts, findProject, findProjectSettings } from '../projects/index.ts';
import { type Driving, startDrivingBuilders } from './builders.ts';
import { gcRootsFolder, startGcRoots } from './gc-roots.ts';
import { createNixMachine, type WorkingNix } from './nix-machine.ts';
import { announceRevision } from './revision-changes.ts';
import { serverSecrets } from './secrets.ts';
import { drainMs, type ServerSettings } from './settings.ts';
import type { Shutdown } from './shutdown.ts';

export interface WorkersOptions {
  readonly settings: ServerSettings;
  readonly database: Database;
  readonly processId: number;
  readonly github: GitHubApp | undefined;
  readonly checkouts: Checkouts;
  readonly log: Logger;
  readonly shutdown: Shutdown;
  /** Set to functions that look for work at once. */
  readonly wake: {
    evaluations: () => void;
    builds: () => void;
    cancelled: () => void;
    builders: () => void;
  };
}

export interface Workers {
  /** What keeps this machine from evaluating and building, for people. */
  readonly problem: Error | undefined;
  /** The Nix of this machine; rejects while there is none. */
  readonly nix: () => Promise<WorkingNix>;
  /** The builders that this process drives. */
  readonly fleet: BuilderFleet;
  /** With the role `scheduler`. */
  readonly dispatcher: Dispatcher | undefined;
}

export function startWorkers(options: WorkersOptions): Workers {
  const { log, shutdown, wake } = options;
  const { config, environment } = options.settings;
  const drains: Drain[] = [];
  const fleet = createBuilderFleet();
  let dispatcher: Dispatcher | undefined;
  let driving: Driving | undefined;
  if (config.server.roles.includes('scheduler')) {
    const started = startBuilding(options, fleet);
    dispatcher = started;
    // Connections to builders end when nothing runs there any more.
    drains.push(() => started.stop(drainMs).finally(() => driving?.stop()));
  }
  wake.builders = () => {
    driving?.look();
    dispatcher?.lookAtBuilders();
  };
  const machine = createNixMachine({
    config,
    environment,
    log,
    onReady: (working) => {
      if (shutdown.draining) return;
      // Each store has roots of its own: what evaluations add to one has to last until it is built.
      drains.push(startGcRoots({ db: options.database.knex, config, working, log }));
      if (!config.server.roles.includes('scheduler')) return;
      const own = config.builds.slots === 0 ? undefined : working.builder;
      driving = startDrivingBuilders({ ...options, db: options.database.knex, fleet, working, own });
    },
  });
  shutdown.add('Nix', () => machine.close());
  shutdown.add('evaluations and builds', () => endAll(drains));
  if (config.server.roles.includes('evaluator')) {
    const coordinator = startEvaluating(options, machine.get);
    drains.push(() => coordinator.stop(drainMs));
    wake.evaluations = coordinator.wake;
    const stopBuilding = wake.cancelled;
    wake.cancelled = () => {
      stopBuilding();
      coordinator.stopCancelled();
    };
  }
  machine.get().catch((error: Error) => log.warn({ reason: error.message }, 'this machine cannot build'));
  return {
    get problem() {
      return machine.problem;
    },
    nix: machine.get,
    fleet,
    dispatcher,
  };
}

function startEvaluating(options: WorkersOptions, getNix: () => Promise<WorkingNix>): Coordinator {
  const { settings, database, checkouts, log } = options;
  const { evaluation } = settings.config;
  const isSigned = createVerifier(evaluation.publicKeys);
  const clean = () =>
    checkouts.clean().catch((error: unknown) => {
      log.warn({ err: error }, 'old checkouts could not be removed');
    });
  const cleaned = clean();
  const daily = setInterval(clean, 24 * 3600 * 1000).unref();
  options.shutdown.add('cleaning', async () => clearInterval(daily));
  const requestOf = async (evaluation: ClaimedEvaluation, signal: AbortSignal) => {
    const project = await findProject(database.knex, evaluation.projectId);
    const gitRef = evaluation.sources[0]?.gitRef ?? evaluation.sha;
    return project && { project, sha: evaluation.sha, gitRef, signal };
  };
  return startCoordinator({
    db: database.knex,
    processId: options.processId,
    concurrency: evaluation.concurrency,
    enqueue: {
      failureTtlSeconds: settings.config.builds.failureTtl,
      unsupportedTimeoutSeconds: settings.config.builds.unsupportedTimeout,
    },
    limits: {
      totalSeconds: evaluation.timeout,
      attributeSeconds: evaluation.attributeTimeout,
      memoryMegabytes: evaluation.memory,
      attributes: evaluation.maxAttributes,
      messageBytes: evaluation.maxMessageBytes,
      importSeconds: evaluation.importTimeout,
      imports: evaluation.maxImports,
      importLogBytes: settings.config.builds.logLimit,
    },
    evaluator: async () => {
      const { evaluator, nix } = await getNix();
      const { allowedUris, systems } = evaluation;
      const identity = [
        evaluator.name,
        nix.version,
        nix.system,
        nix.storeDir,
        ...allowedUris,
        '',
        ...systems,
        evaluation.audit,
      ];
      return { evaluate: evaluator.evaluate, identity };
    },
    openPlanning: async () => (await getNix()).openPlanning(),
    hold: async (drvPaths) => {
      const { nix, store, texts } = await getNix();
      const folder = gcRootsFolder(settings.config);
      try {
        await holdDerivations({ folder, store, storeDir: nix.storeDir, texts }, drvPaths);
      } catch (error) {
        log.warn({ reason: messageOf(error) }, 'what is to be built has no root in the Nix store yet');
      }
    },
    openPins: options.github && pinsOpener(options, options.github, getNix),
    openProvenance:
      evaluation.audit === 'off'
        ? undefined
        : async ({ projectId, trust }) =>
            createProvenance({
              db: database.knex,
              projectId,
              trusted: trust === 'trusted',
              pathInfos: (await getNix()).store.pathInfos,
              isPublic: (path, info) => isSigned(path, info, info.signatures),
            }),
    look: async (evaluation, signal) => {
      const request = await requestOf(evaluation, signal);
      return request ? checkouts.look(request) : removed;
    },
    checkOut: async (evaluation, signal, submodules) => {
      await cleaned;
      const request = await requestOf(evaluation, signal);
      return request ? checkouts.checkout({ ...request, ...(submodules && { submodules }) }) : removed;
    },
    secrets: serverSecrets(settings.config, options.github),
    onRevisionChanged: announceRevision,
    log,
  });
}

/** What a repository's settings name as its pins. */
function pinsOpener({ database, log }: WorkersOptions, app: GitHubApp, getNix: () => Promise<WorkingNix>) {
  const db = database.knex;
  const questions = createQuestions(app, log);
  return async ({ projectId }: ClaimedEvaluation) => {
    const project = await findProject(db, projectId);
    const pins = (await findProjectSettings(db, projectId))?.settings.pins ?? [];
    const { sandbox } = (await getNix()).nix;
    if (project && pins.length > 0 && sandbox) return openPins({ db, app, questions, log }, project, pins);
    const blame = `${pins.join(', ')} cannot be fetched: that takes builds in a sandbox (builds.sandbox).`;
    const notices = pins.length === 0 ? [] : [blame];
    return { kind: 'ready', access: undefined, notices, close: async () => {} } as const;
  };
}

const removed = { kind: 'failed', reason: 'The project was removed.' } as const;

/** Stops taking up work and waits for what is under way. */
type Drain = () => Promise<void>;

/** All at the same time, so that they share the time that a stopping server has. */
async function endAll(drains: readonly Drain[]): Promise<void> {
  const outcomes = await Promise.allSettled(drains.map((drain) => drain()));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** The builders that this process drives, and what keeps them busy. */
function startBuilding(options: WorkersOptions, fleet: BuilderFleet): Dispatcher {
  const { database, log } = options;
  const { builds } = options.settings.config;
  const dispatcher = startDispatcher({
    db: database.knex,
    fleet,
    processId: options.processId,
    timeoutSeconds: builds.timeout,
    maxSilentSeconds: builds.maxSilent,
    firstRestSeconds: builds.builderRest,
    checkPercent: builds.checkPercent,
    secrets: serverSecrets(options.settings.config, options.github),
    onBuildsChanged: (trx, buildIds) => settleAfterBuilds(trx, buildIds, announceRevision),
    log,
  });
  options.wake.builds = dispatcher.wake;
  options.wake.cancelled = dispatcher.stopCancelled;
  return dispatcher;
}
