/**
 * The built-in database: a real PostgreSQL server on a cluster below the data directory, reached
 * through a unix socket that only its user and root can open. It runs as a process of its own, so
 * a crash of this program does not touch it; the next start adopts it.
 *
 *   no cluster -> initdb -> started
 *   cluster, no server -> (crash recovery) -> started
 *   cluster, live server that answers -> adopted
 *   cluster, live server that does not answer yet -> waited for -> adopted
 *   running -> killed by somebody -> (crash recovery) -> started again at the same address
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../../basics/index.ts';
import type { DataDirectoryLock } from '../data-directory-lock.ts';
import { findBinaries } from './binaries.ts';
import { ensureCluster, startServer } from './cluster.ts';
import { keepRunning } from './keeper.ts';
import { type ClusterPlace, choosePlace } from './place.ts';
import {
  askServer,
  databaseName,
  findPostmaster,
  type Postmaster,
  shutDown,
  socketUrl,
} from './postmaster.ts';

export interface EmbeddedPostgresOptions {
  /** Proof that no other server works on this data directory. */
  readonly lock: DataDirectoryLock;
  /** `database.binaries`: directory of `initdb` and `postgres`. */
  readonly binaries?: string;
  /** Value of PATH, where the programs are looked for after the npm package. */
  readonly searchPath: string;
  /** False only in tests: trades safety in a power cut for speed. */
  readonly durable?: boolean;
  readonly log: Logger;
}

export interface EmbeddedPostgres {
  /** For `openDatabase`, and as DATABASE_URL of processes on this machine with the same user. */
  readonly url: string;
  readonly pid: number;
  /** Whether it was found running, left behind by a crash. */
  readonly adopted: boolean;
  /** Ends the server; close all connections before. */
  stop(): Promise<void>;
}

/** Starts the built-in server, or adopts the one that runs. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { lock, log } = options;
  const place = await choosePlace(lock.dataDir, log);
  const running = await adopt(join(place.root, 'data'), log);
  let postmaster = running ?? (await start(place, options));
  await ensureDatabase(postmaster);
  const keeper = keepRunning({
    pid: () => postmaster.pid,
    async restart() {
      // At the same address: it is in everybody's connection settings.
      postmaster =
        (await adopt(join(place.root, 'data'), log)) ??
        (await start(place, options, postmaster.socketDirectory));
    },
    log,
  });
  return {
    url: socketUrl(postmaster),
    get pid() {
      return postmaster.pid;
    },
    adopted: running !== undefined,
    async stop() {
      await keeper.stop();
      await shutDown(postmaster.pid);
      // A socket directory outside the cluster was made for this run alone.
      if (!postmaster.socketDirectory.startsWith(place.root)) {
        await rm(postmaster.socketDirectory, { recursive: true, force: true });
      }
      log.debug({ pid: postmaster.pid }, 'stopped the database');
    },
  };
}

/**
 * The URL of the built-in server of a data directory, when it runs: for commands beside `serve`.
 */
export async function findEmbeddedPostgres(dataDir: string): Promise<string | undefined> {
  const postmaster = await findPostmaster(join(dataDir, 'postgres', 'data'));
  return postmaster && (await askServer(postmaster)) === 'ready' ? socketUrl(postmaster) : undefined;
}

async function start(
  place: ClusterPlace,
  options: EmbeddedPostgresOptions,
  socketDirectory?: string,
): Promise<Postmaster> {
  const { log } = options;
  const binaries = await findBinaries({
    searchPath: options.searchPath,
    copyTo: place.root,
    ...(options.binaries !== undefined && { configured: options.binaries }),
    ...(place.user && { user: place.user }),
  });
  const settings = { place, binaries, durable: options.durable ?? true, socketDirectory, log };
  await ensureCluster(settings);
  const postmaster = await startServer(settings);
  log.info({ pid: postmaster.pid, version: binaries.version }, 'started the database');
  return postmaster;
}

/** A server that runs already. One that is starting, recovering or ending is waited for. */
async function adopt(data: string, log: Logger): Promise<Postmaster | undefined> {
  let silent = 0;
  for (;;) {
    const postmaster = await findPostmaster(data);
    if (!postmaster) return undefined;
    const answer = await askServer(postmaster);
    if (answer === 'ready') {
      log.info({ pid: postmaster.pid }, 'adopted the database, which was still running');
      return postmaster;
    }
    silent = answer === 'silent' ? silent + 1 : 0;
    // Its socket is gone (a cleaner of /tmp) or it hangs: a server nobody can reach is of no use.
    if (silent === 250) {
      log.warn({ pid: postmaster.pid }, 'the running database does not answer; restarting it');
      await shutDown(postmaster.pid);
    }
    await pause(20);
  }
}

async function ensureDatabase(postmaster: Postmaster): Promise<void> {
  const client = new pg.Client({ connectionString: socketUrl(postmaster, 'postgres') });
  await client.connect();
  try {
    const found = await client.query('select 1 from pg_database where datname = $1', [databaseName]);
    if (found.rowCount === 0) await client.query(`create database ${databaseName}`);
  } finally {
    await client.end();
  }
}
