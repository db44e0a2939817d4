/** Agents as operators run them: child processes, each with a store of its own. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { programCommand } from './program-command.ts';

const root = new URL('../../', import.meta.url).pathname;
const [file = '', ...first] = programCommand;

/** Runs a command of ringmaster to its end. */
export async function ringmaster(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(file, [...first, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  child.stdout.on('data', (piece: Buffer) => {
    texts.stdout += piece.toString();
  });
  child.stderr.on('data', (piece: Buffer) => {
    texts.stderr += piece.toString();
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, ...texts };
}

export interface AgentFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** A folder for an agent's state and store. Newer Nix refuses stores where everybody may write. */
export async function newAgentFolder(): Promise<AgentFolder> {
  const path = await mkdtemp('/var/tmp/ringmaster-agent-');
  return {
    path,
    remove: async () => {
      // Store paths are read-only folders.
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export interface AgentProcess {
  readonly pid: number;
  readonly log: readonly string[];
  /** Resolves at the first session; rejects when the agent ends before. */
  readonly connected: Promise<void>;
  readonly exited: Promise<number | null>;
  signal(name: NodeJS.Signals): void;
}

export async function startAgentProcess(options: {
  readonly server: string;
  readonly token: string;
  readonly folder: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}): Promise<AgentProcess> {
  const tokenFile = join(options.folder, 'token');
  await writeFile(tokenFile, `${options.token}\n`);
  const child = spawn(
    file,
    [
      ...[...first, 'agent', '--verbose'],
      ...['--server', options.server, '--token-file', tokenFile],
      ...['--state-dir', options.folder, '--store', join(options.folder, 'store'), '--slots', '2'],
      ...(options.args ?? []),
    ],
    {
      cwd: root,
      env: { ...process.env, NIX_CONFIG: 'substituters =', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const log: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const connected = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.includes('connected')) resolve();
    });
    void exited.then(() => reject(new Error(`The agent ended.\n${log.slice(-30).join('\n')}`)));
  });
  connected.catch(() => {});
  return { pid: child.pid ?? 0, log, connected, exited, signal: (name) => void child.kill(name) };
}
