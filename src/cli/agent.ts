/** `ringmaster agent`: builds on this machine for a server. */
import { readFile, stat } from 'node:fs/promises';
import { availableParallelism, homedir, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { connectToServer, createProxiedFetch, openNixWorkshop, runAgent } from '../agent/index.ts';
import { createLogger, exitStatus, type Logger, messageOf, OperatorError } from '../basics/index.ts';
import { openCacheClient } from '../cache/index.ts';
import { detectNix } from '../nix/index.ts';
import type { CommandContext } from './context.ts';
import { readableLog } from './terminal/readable-log.ts';
import { createStyle } from './terminal/style.ts';
import { readVersion } from './version.ts';

/** Options as given; what is absent comes from the environment or the machine. */
export interface AgentFlags {
  readonly server: string;
  readonly tokenFile?: string;
  readonly token?: string;
  readonly name?: string;
  readonly slots?: number;
  readonly stateDir?: string;
  readonly store?: string;
  readonly sandbox: string;
  readonly maxBuilds?: number;
  readonly maxIdle?: number;
  readonly maxLifetime?: number;
  readonly cacheKey?: readonly string[];
}

/** Runs until it is drained; messages go to stderr, and stdout has one line when it is connected. */
export async function agent(context: CommandContext, flags: AgentFlags): Promise<number> {
  const server = serverUrl(flags.server);
  const sandbox = sandboxMode(flags.sandbox);
  const token = await readToken(context, flags);
  const stateDir = resolve(context.workingDirectory, flags.stateDir ?? defaultStateDir(context.env));
  const { verbose, quiet } = context.options;
  const log = createLogger({
    level: verbose ? 'debug' : quiet ? 'error' : 'info',
    destination: context.stderr.isTTY ? readableLog(context.stderr, terminalStyle(context)) : context.stderr,
  });
  if (flags.tokenFile !== undefined)
    await warnIfOthersRead(resolve(context.workingDirectory, flags.tokenFile), log);
  const nix = await detectNix(context.env, {
    home: join(stateDir, 'nix-home'),
    sandbox,
    ...(flags.store !== undefined && { store: resolve(context.workingDirectory, flags.store) }),
  });
  const cache = openCacheClient({
    url: `${server}/cache`,
    token,
    ...(flags.cacheKey && { trustedKeys: flags.cacheKey }),
    storeDir: nix.storeDir,
    environment: nix.environment,
    fetch: createProxiedFetch(context.env),
  });
  const workshop = openNixWorkshop({ nix, cache, log });
  const stop = new AbortController();
  context.interruption.onSecond(() => stop.abort());
  let told = false;
  try {
    await runAgent({
      client: connectToServer({ server, token, environment: context.env }),
      workshop,
      version: readVersion().version,
      name: flags.name ?? hostname(),
      slots: flags.slots ?? availableParallelism(),
      stateDir,
      ...(flags.maxBuilds !== undefined && { maxBuilds: flags.maxBuilds }),
      ...(flags.maxIdle !== undefined && { maxIdleSeconds: flags.maxIdle }),
      ...(flags.maxLifetime !== undefined && { maxLifetimeSeconds: flags.maxLifetime }),
      drain: context.interruption.signal,
      stop: stop.signal,
      onConnected: (builder) => {
        if (!told) context.stdout.write(`ringmaster agent connected as ${builder}\n`);
        told = true;
      },
      log,
    });
  } finally {
    await workshop.close();
  }
  return exitStatus.ok;
}

function serverUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && (url.protocol === 'http:' || url.protocol === 'https:')) return url.href.replace(/\/+$/, '');
  throw usage(
    'agent-server',
    `'${text}' is not the address of a server.`,
    'For example https://ci.example.org.',
  );
}

function sandboxMode(text: string): 'required' | 'off' {
  if (text === 'required' || text === 'off') return text;
  throw usage(
    'agent-sandbox',
    `--sandbox is 'required' or 'off', not '${text}'.`,
    'Leave it out for required.',
  );
}

async function readToken({ env, workingDirectory }: CommandContext, flags: AgentFlags): Promise<string> {
  if (flags.tokenFile !== undefined) return tokenIn(resolve(workingDirectory, flags.tokenFile));
  const token = flags.token ?? env.RINGMASTER_AGENT_TOKEN;
  if (token) return token.trim();
  throw usage(
    'agent-token-missing',
    'The agent needs a token.',
    "Give --token-file, with what 'ringmaster builder add NAME' has printed on the server.",
  );
}

async function tokenIn(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new OperatorError({
      code: 'agent-token-unreadable',
      message: `The token cannot be read: ${unreadable(file, cause)}`,
      hint: "It is a file with what 'ringmaster builder add NAME' has printed on the server.",
      exitStatus: exitStatus.configuration,
      cause,
    });
  });
  const token = text.trim();
  if (/^[\w-]+$/.test(token)) return token;
  throw usage(
    'agent-token-empty',
    `${file} holds no token.`,
    "It is one line, as 'builder add' has printed it.",
  );
}

function unreadable(file: string, cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') return `there is no file ${file}.`;
  if (code === 'EISDIR') return `${file} is a folder.`;
  if (code === 'EACCES') return `${file} is not for this user to read.`;
  return messageOf(cause);
}

/** Whoever reads the token can take this builder's place. */
async function warnIfOthersRead(file: string, log: Logger): Promise<void> {
  const found = await stat(file);
  if (!found.isFile() || (found.mode & 0o007) === 0) return;
  log.warn({ file }, `others on this machine can read the token: chmod 600 ${file}`);
}

function defaultStateDir(env: CommandContext['env']): string {
  if (env.STATE_DIRECTORY) return env.STATE_DIRECTORY;
  if (process.getuid?.() === 0) return '/var/lib/ringmaster-agent';
  const state = env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local', 'state');
  return join(state, 'ringmaster-agent');
}

function terminalStyle({ env, options }: CommandContext) {
  return createStyle({ env, isTerminal: true, colour: options.color });
}

function usage(code: string, message: string, hint: string): OperatorError {
  return new OperatorError({ code, message, hint, exitStatus: exitStatus.usage });
}
