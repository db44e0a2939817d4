/** What a running server writes about itself into `postmaster.pid`, and whether that is true. */
import { readFile, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { pidExists } from '../../basics/index.ts';

export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly socketDirectory: string;
}

/** Name of the superuser and of the program's database in an embedded server. */
export const databaseName = 'ringmaster';

/** Connection URL of a server behind a unix socket. */
export function socketUrl(postmaster: Omit<Postmaster, 'pid'>, database = databaseName): string {
  const host = encodeURIComponent(postmaster.socketDirectory);
  return `postgresql://${databaseName}@/${database}?host=${host}&port=${postmaster.port}`;
}

/**
 * The server that runs on a cluster, ready or not; undefined when there is none. A pid file whose
 * pid belongs to another program by now is removed: PostgreSQL itself would refuse to start then.
 */
export async function findPostmaster(data: string): Promise<Postmaster | undefined> {
  const file = join(data, 'postmaster.pid');
  const text = await readFile(file, 'utf8').catch(() => '');
  // Lines: pid, data directory, start time, port, socket directory, listen address, memory, status.
  const [pid, , , port, socketDirectory] = text.split('\n');
  if (!pid || !Number.isInteger(Number(pid))) return undefined;
  if (!pidExists(Number(pid))) return undefined;
  if (!(await worksIn(Number(pid), data))) {
    await rm(file, { force: true });
    return undefined;
  }
  return { pid: Number(pid), port: Number(port), socketDirectory: socketDirectory ?? '' };
}

/** A postmaster's working directory is its cluster. Where there is no /proc, its pid has to do. */
async function worksIn(pid: number, data: string): Promise<boolean> {
  const directory = await readlink(`/proc/${pid}/cwd`).catch((error) =>
    error.code === 'ENOENT' && process.platform === 'linux' ? '' : undefined,
  );
  return directory === undefined || directory === (await realpath(data));
}

/** What a server says to a new connection. */
export type Answer = 'ready' | 'starting' | 'silent';

/** Asks a server for a connection, as pg_isready does. */
export async function askServer(postmaster: Omit<Postmaster, 'pid'>): Promise<Answer> {
  const client = new pg.Client({
    connectionString: socketUrl(postmaster, 'postgres'),
    connectionTimeoutMillis: 5_000,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return 'ready';
  } catch (error) {
    // 57P03: cannot_connect_now, while it recovers or shuts down.
    return error instanceof Error && 'code' in error && error.code === '57P03' ? 'starting' : 'silent';
  } finally {
    await client.end().catch(() => {});
  }
}

/** Milliseconds for an orderly shutdown before an immediate one, which the next start recovers. */
const fastShutdownMs = 60_000;

/** Ends a server: open transactions are rolled back, connections closed, everything flushed. */
export async function shutDown(pid: number): Promise<void> {
  send(pid, 'SIGINT');
  if (await hasEnded(pid, fastShutdownMs)) return;
  send(pid, 'SIGQUIT');
  await hasEnded(pid, 10_000);
}

/** Only a parent is told of an end, and an adopted server is no child of ours: so this looks. */
async function hasEnded(pid: number, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (pidExists(pid)) {
    if (Date.now() > deadline) return false;
    await pause(20);
  }
  return true;
}

function send(pid: number, signal: NodeJS.Signals): void {
  if (pidExists(pid)) process.kill(pid, signal);
}
