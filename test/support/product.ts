/**
 * The product as users run it: a child process, configured by its environment, seen only through
 * its output, its HTTP port and what it does on GitHub.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { GitHubDouble } from '../github-double/index.ts';
import { programCommand } from './program-command.ts';

const root = new URL('../../', import.meta.url).pathname;
const startTimeoutMs = 60_000;

export interface ProductOptions {
  readonly double: GitHubDouble;
  /** Kept by the caller; default: a directory of its own. */
  readonly dataDir?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Run what `npm run build` has made instead of the sources. */
  readonly built?: boolean;
}

export interface Product {
  /** Empty without the role `web`. */
  readonly url: string;
  readonly pid: number;
  readonly dataDir: string;
  /** Log lines so far. */
  readonly log: readonly string[];
  get(path: string): Promise<Response>;
  json(path: string): Promise<unknown>;
  /** SIGTERM; resolves to the exit status. */
  stop(): Promise<number | null>;
  /** SIGKILL, as a power cut for this process alone. */
  kill(): Promise<void>;
}

/** A new directory for a server's data; readable by the user of the built-in database. */
export async function newDataDir(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'ringmaster-data-'));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** Starts `ringmaster serve` against a double and lets the double deliver to it. */
export async function startProduct(options: ProductOptions): Promise<Product> {
  const dataDir = options.dataDir ?? (await newDataDir()).path;
  const [file = '', ...first] = options.built ? [process.execPath, 'bin/ringmaster.js'] : programCommand;
  const child = spawn(
    file,
    [...first, 'serve', '--port', '0', '--data-dir', dataDir, ...(options.args ?? [])],
    {
      cwd: root,
      env: { ...inherited(), ...options.double.environment(), LOG_LEVEL: 'debug', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const log: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const url = await ready(child, exited, log);
  if (url !== '') options.double.setWebhookUrl(`${url}/api/github/webhooks`);
  const get = (path: string) => fetch(new URL(path, url));
  return {
    url,
    pid: child.pid ?? 0,
    dataDir,
    log,
    get,
    json: async (path) => {
      const answer = await get(path);
      if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
      return answer.json();
    },
    stop: () => {
      child.kill('SIGTERM');
      return exited;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Its address; empty for a process without the role `web`. */
function ready(child: ChildProcess, exited: Promise<unknown>, log: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string) => reject(new Error(`${reason}\n${log.slice(-30).join('\n')}`));
    const timer = setTimeout(() => fail('The server did not become ready.'), startTimeoutMs);
    void exited.then(() => fail('The server ended instead of becoming ready.'));
    if (!child.stdout) return fail('The server has no output.');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [, words, url] = line.match(/^ringmaster (listening on|running as) (\S+)/) ?? [];
      if (words === undefined || url === undefined) return;
      clearTimeout(timer);
      resolve(words === 'listening on' ? url : '');
    });
  });
}

/** What a server needs of our environment; credentials of whoever runs the tests are not among it. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'NODE_EXTRA_CA_CERTS'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}
