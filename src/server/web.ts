/** The HTTP side: dashboard, API, health, and the webhooks of GitHub. */
import type { Registry } from 'prom-client';
import type { Config } from '../basics/config/index.ts';
import { type Logger, OperatorError } from '../basics/index.ts';
import type { AgentHub } from '../builders/index.ts';
import type { CacheHandler } from '../cache/index.ts';
import { type GitHubApp, missingGitHubSettings, webhooks } from '../github/index.ts';
import { type Database, type Listener, migrationStatus, openDatabase } from '../postgres/index.ts';
import { buildWebServer, type SetupNotice } from '../web/index.ts';
import { mountAgents } from './agents.ts';
import { announceRevision } from './revision-changes.ts';
import type { ServerSettings } from './settings.ts';

export interface WebOptions {
  readonly settings: ServerSettings;
  readonly database: Database;
  readonly listener: Listener;
  readonly github: GitHubApp | undefined;
  /** The agents of this process, once it can serve them. */
  readonly agents: () => AgentHub | undefined;
  readonly cache: CacheHandler;
  readonly metrics: Registry;
  readonly nixProblem: () => Error | undefined;
  readonly draining: () => boolean;
  readonly log: Logger;
}

export interface Web {
  /** The address that is listened on. */
  readonly url: string;
  close(): Promise<void>;
}

/** Connections for storing deliveries: GitHub waits ten seconds, whatever else the others are busy with. */
const intakeConnections = 8;

/** Starts listening. Rejects with an OperatorError when the port is taken. */
export async function startWeb(options: WebOptions): Promise<Web> {
  const intake = await openDatabase(options.database.url, options.log, {
    maxConnections: intakeConnections,
    applicationName: 'ringmaster intake',
    asynchronousCommits: true,
  });
  try {
    const web = await listen(options, intake);
    return { url: web.url, close: () => web.close().finally(() => intake.close()) };
  } catch (error) {
    await intake.close();
    throw error;
  }
}

async function listen(options: WebOptions, intake: Database): Promise<Web> {
  const { settings, database, log } = options;
  const { server, github, web } = settings.config;
  const db = database.knex;
  const missing = missingGitHubSettings(github);
  let url = '';
  const app = await buildWebServer({
    db,
    log,
    publicUrl: () => server.publicUrl ?? url,
    githubUrl: () => options.github?.webUrl ?? 'https://github.com',
    privateProjects: web.privateProjects,
    onRevisionChanged: announceRevision,
    subscribe: (channel, handler) => options.listener.subscribe(channel, handler),
    health: {
      checks: [
        { name: 'database', check: async () => void (await db.raw('SELECT 1')) },
        { name: 'migrations', check: () => checkMigrations(database) },
      ],
      draining: options.draining,
    },
    cache: options.cache,
    metrics: options.metrics,
    version: settings.version,
    setupNotices: () => setupNotices(missing, options.nixProblem()),
    ...(settings.setup ? { setup: settings.setup.pages } : {}),
    githubPlugin: webhooks({
      db: intake.knex,
      app: options.github,
      missing,
      log,
      onDelivery: () => settings.setup?.heard(),
    }),
  });
  await mountAgents(app, options.agents, log);
  try {
    url = await app.listen({ host: server.host, port: server.port });
  } catch (error) {
    await app.close();
    throw listenFailure(error, server);
  }
  return { url, close: () => app.close() };
}

async function checkMigrations(database: Database): Promise<void> {
  const status = await migrationStatus(database);
  if (status.pending.length > 0) throw new Error(`pending: ${status.pending.join(', ')}`);
}

function setupNotices(missing: readonly string[], nix: Error | undefined): readonly SetupNotice[] {
  const notices: SetupNotice[] = [];
  if (nix) {
    const hint = nix instanceof OperatorError ? (nix.hint ?? '') : '';
    notices.push({ title: nix.message, hint });
  }
  if (missing.length > 0) {
    notices.push({
      title: 'No GitHub App is configured, so no repository can be built for GitHub.',
      hint:
        'Open the set-up page whose address the server printed when it started. ' +
        `Or set ${missing.join(', ')} and restart; 'ringmaster doctor' checks them.`,
    });
  }
  return notices;
}

const listenFailures = new Map([
  ['EADDRINUSE', 'another program uses it'],
  ['EACCES', 'that needs more rights'],
  ['EADDRNOTAVAIL', 'this machine has no such address'],
  ['ENOTFOUND', 'there is no host of that name'],
  ['EAI_AGAIN', 'the name of that host cannot be looked up now'],
]);

function listenFailure(error: unknown, { host, port }: Config['server']): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const reason = listenFailures.get(String(code));
  if (reason === undefined) return error;
  return new OperatorError({
    code: 'cannot-listen',
    message: `Cannot listen on ${host}:${port}: ${reason}.`,
    hint: 'Choose another address with --port, or server.host and server.port in ringmaster.toml.',
    exitStatus: 3,
    cause: error,
  });
}
