/**
 * Puts a server process together: opens what it needs, starts the roles it was given, and ends
 * everything in the right order.
 *
 *   starting -> serving -> draining (readiness says no, nothing new is taken up) -> stopped
 */
import type { ServerRole } from '../basics/config/index.ts';
import type { Logger } from '../basics/index.ts';
import { type AgentHub, buildersChannel } from '../builders/index.ts';
import { buildsChannel, cancelChannel } from '../builds/index.ts';
import { evaluationsChannel } from '../evaluations/index.ts';
import { missingGitHubSettings, openGitHubApp } from '../github/index.ts';
import { createListener, lockDataDirectory, newTaskWorkerId, registerProcess } from '../postgres/index.ts';
import { openAgentHub } from './agent-hub.ts';
import { noStoreHere, openServerCache } from './cache.ts';
import { openCheckouts } from './checkouts.ts';
import { startMaintenance } from './maintenance.ts';
import { createMetrics } from './metrics.ts';
import { announceRevision } from './revision-changes.ts';
import type { ServerSettings } from './settings.ts';
import { Shutdown } from './shutdown.ts';
import { openStorage } from './storage.ts';
import { startTasks } from './tasks.ts';
import { startWeb } from './web.ts';
import { startWorkers, type Workers } from './workers.ts';

export interface RunningServer {
  /** Where it listens, or where its pages are said to be; undefined without the role `web`. */
  readonly url: string | undefined;
  /** Drains and ends everything. Safe to call again. */
  stop(): Promise<void>;
}

/** Starts a server; rejects with an OperatorError, and everything closed, when it cannot. */
export async function startServer(settings: ServerSettings, log: Logger): Promise<RunningServer> {
  const shutdown = new Shutdown(log);
  try {
    return await assemble(settings, log, shutdown);
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function assemble(settings: ServerSettings, log: Logger, shutdown: Shutdown): Promise<RunningServer> {
  const { config } = settings;
  const has = (role: ServerRole) => config.server.roles.includes(role);
  // Wrong credentials are found before anything was started.
  const opening = openGitHubApp(config.github, log);
  const absent = missingGitHubSettings(config.github);
  if (absent.length > 0 && (config.github.appId || config.github.privateKey)) {
    log.warn({ absent }, 'GitHub is not served: a part of the credentials of the App is not set');
  }
  opening.catch(() => {});

  const lock = await lockDataDirectory(config.dataDir);
  shutdown.add('data directory', () => lock.release());
  const storage = await openStorage({
    lock,
    databaseUrl: config.database.url,
    binaries: config.database.binaries,
    searchPath: settings.environment.PATH ?? '',
    signal: settings.signal,
    log,
  });
  shutdown.add('database', () => storage.close());
  const { database } = storage;
  const listener = createListener(database, log);
  shutdown.add('listener', () => listener.close());

  const workerId = newTaskWorkerId();
  const registration = await registerProcess(database, {
    roles: config.server.roles,
    taskWorkerIds: [workerId],
    log,
  });
  shutdown.add('registration', () => registration.deregister());
  const github = await opening;
  const checkouts = openCheckouts(settings, github, log);
  const maintenance = await startMaintenance({
    database,
    onRevisionChanged: announceRevision,
    historyDays: config.retention.historyDays,
    unsupportedTimeoutSeconds: config.builds.unsupportedTimeout,
    lostTimeoutSeconds: config.builds.lostTimeout,
    log,
  });
  shutdown.add('maintenance', () => maintenance.stop());

  // Ended in the reverse order: builds and evaluations finish while pages are served and their
  // results are reported.
  let workers: Workers | undefined;
  let agents: AgentHub | undefined;
  const cache = await openServerCache({
    settings,
    database,
    nix: async () => {
      if (workers === undefined) throw noStoreHere();
      return (await workers.nix()).nix;
    },
    log,
  });
  shutdown.add('binary cache', () => cache.close());
  const web = has('web')
    ? await startWeb({
        settings,
        database,
        listener,
        github,
        cache: cache.handle,
        agents: () => agents,
        metrics: createMetrics(database.knex),
        nixProblem: () => workers?.problem,
        draining: () => shutdown.draining,
        log,
      })
    : undefined;
  if (web) shutdown.add('web server', () => web.close());
  if (has('scheduler')) {
    const { server } = config;
    const publicUrl = server.publicUrl ?? web?.url ?? `http://${server.host}:${server.port}`;
    if (!server.publicUrl && !web) {
      log.warn(
        { links: publicUrl },
        'server.public_url is not set, and this process serves no pages: links in reports lead nowhere',
      );
    }
    const nix = async () => {
      if (workers === undefined) throw noStoreHere();
      return await workers.nix();
    };
    const tasks = startTasks({
      ...{ settings, database, workerId, github, checkouts, publicUrl, nix, log },
    });
    shutdown.add('background tasks', () => tasks.stop());
  }
  const wake = { evaluations: () => {}, builds: () => {}, cancelled: () => {}, builders: () => {} };
  if (has('evaluator') || has('scheduler')) {
    const processId = registration.id;
    const started = startWorkers({
      ...{ settings, database, processId, github, checkouts, log, shutdown, wake },
    });
    workers = started;
    const { dispatcher, fleet, nix } = started;
    // Agents are built with where they are connected: that takes both roles.
    if (web && dispatcher) {
      const adopt = dispatcher.adopt;
      agents = openAgentHub({ settings, database, processId, fleet, nix, adopt, log });
    }
  }
  await listener.subscribe(
    evaluationsChannel,
    wakeUp(() => wake.evaluations()),
  );
  await listener.subscribe(
    buildsChannel,
    wakeUp(() => wake.builds()),
  );
  await listener.subscribe(
    cancelChannel,
    wakeUp(() => wake.cancelled()),
  );
  await listener.subscribe(
    buildersChannel,
    wakeUp(() => {
      wake.builders();
      agents?.look();
    }),
  );
  return { url: web?.url, stop: () => shutdown.run() };
}

/** What was missed in a gap of the connection is looked for like what was announced. */
function wakeUp(look: () => void) {
  return { onNotification: look, onReconnect: look };
}
