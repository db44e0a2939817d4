/** `ringmaster serve`: runs the server until it is told to stop. */
import { type Config, type ConfigFlag, loadConfig } from '../basics/config/index.ts';
import { createLogger, exitStatus, keepHeapSmall } from '../basics/index.ts';
import { withStoredApp } from '../github/index.ts';
import { createServerSetup, startServer } from '../server/index.ts';
import type { CommandContext, ServeFlags } from './context.ts';
import { readableLog } from './terminal/readable-log.ts';
import { createStyle, type Style } from './terminal/style.ts';
import { readVersion } from './version.ts';

/**
 * Serves until it is told to stop, also while it still starts, which may wait for others to use the database.
 *
 * Messages go to stderr, as JSON lines unless that is a terminal; stdout has the one line that says that the server is ready.
 */
export async function serve(context: CommandContext, flags: ServeFlags): Promise<number> {
  const { signal } = context.interruption;
  try {
    return await serveUntilInterrupted(context, flags);
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    return exitStatus.ok;
  }
}

async function serveUntilInterrupted(context: CommandContext, flags: ServeFlags): Promise<number> {
  const {
    config: written,
    file,
    warnings,
  } = await loadConfig({
    env: context.env,
    workingDirectory: context.workingDirectory,
    flags: configFlags(flags),
    configFile: context.options.config,
  });
  const config = await withApp(written);
  const log = createLogger({
    level: context.options.verbose ? 'debug' : context.options.quiet ? 'error' : config.log.level,
    destination: context.stderr.isTTY ? readableLog(context.stderr, terminalStyle(context)) : context.stderr,
  });
  for (const warning of warnings) log.warn(warning);
  keepHeapSmall();
  const { version, commit } = readVersion();
  log.info(
    { version, commit, config: file, dataDir: config.dataDir, roles: config.server.roles },
    'starting',
  );

  const setup = wantsSetup(config) ? createServerSetup(config, log) : undefined;
  const settings = {
    environment: definedOnly(context.env),
    version: commit === undefined ? { version } : { version, commit },
    signal: context.interruption.signal,
    ...(setup ? { setup } : {}),
  };
  let server = await startServer({ config, ...settings }, log);
  context.stdout.write(
    server.url === undefined
      ? `ringmaster running as ${config.server.roles.join(', ')}\n`
      : `ringmaster listening on ${server.url}\n`,
  );
  const interrupted = untilInterrupted(context.interruption.signal);
  if (setup && server.url !== undefined) {
    const url = config.server.publicUrl ?? server.url;
    context.stdout.write(`ringmaster is to be connected to GitHub at ${url}${setup.path}\n`);
    const port = Number(new URL(server.url).port);
    const next = await Promise.race([setup.created.then(() => 'created' as const), interrupted]);
    if (next === 'created') {
      log.info('starting anew with the GitHub App');
      await server.stop();
      const withPort = { ...written, server: { ...written.server, port: port || written.server.port } };
      server = await startServer({ config: await withApp(withPort), ...settings }, log);
    }
  }
  await interrupted;
  log.info('stopping: nothing new is started, what runs gets 30 seconds; a second signal ends at once');
  await server.stop();
  log.info('stopped');
  return exitStatus.ok;
}

/** The configuration with the App that was set up in the browser, where it names none. */
async function withApp(config: Config): Promise<Config> {
  return { ...config, github: await withStoredApp(config.github, config.dataDir) };
}

/** A part of the credentials is a mistake to be told, not a reason to make another App. */
function wantsSetup({ github, server }: Config): boolean {
  const { appId, privateKey, webhookSecret } = github;
  const none = [appId, privateKey, webhookSecret].every((value) => value === undefined || value === '');
  return none && server.roles.includes('web');
}

/** stdout may be somewhere else. */
function terminalStyle({ env, options }: CommandContext): Style {
  return createStyle({ env, isTerminal: true, colour: options.color });
}

function configFlags(flags: ServeFlags): readonly ConfigFlag[] {
  return [
    { key: 'server.port', name: '--port', value: flags.port },
    { key: 'server.host', name: '--host', value: flags.host },
    { key: 'data_dir', name: '--data-dir', value: flags.dataDir },
    {
      key: 'server.roles',
      name: '--roles',
      value: flags.roles?.split(',').map((role) => role.trim()),
    },
  ];
}

function untilInterrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function definedOnly(env: CommandContext['env']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
