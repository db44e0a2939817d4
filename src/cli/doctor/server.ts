/** Checks of what only the server needs: its folder, database and port. */
import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import type { Config } from '../../basics/config/index.ts';
import { messageOf } from '../../basics/index.ts';
import {
  dataDirectoryHolder,
  describeDatabase,
  findBinaries,
  findEmbeddedPostgres,
  migrationStatus,
  openDatabase,
} from '../../postgres/index.ts';
import type { CommandContext } from '../context.ts';
import { requireAccess } from '../database.ts';
import { count } from '../terminal/text.ts';
import { attention, broken, type CheckResult, good, missing } from './check.ts';

/** Below the first builds soon fail, below the second nothing works for long. */
const littleBytes = 5 * 2 ** 30;
const tooFewBytes = 2 ** 29;

/** The folder need not exist yet; then its nearest parent counts. */
export async function checkDataDirectory({ dataDir }: Config): Promise<CheckResult> {
  const place = await nearestExisting(dataDir);
  try {
    await access(place, constants.W_OK | constants.X_OK);
  } catch (error) {
    return missing(
      'data directory',
      `${dataDir} cannot be written: ${messageOf(error)}`,
      'Give the server another folder with --data-dir or RINGMASTER_DATA_DIR, or change who owns this one.',
    );
  }
  return checkSpace('data directory', place, dataDir);
}

export async function checkStoreSpace(folder: string): Promise<CheckResult> {
  return checkSpace('store space', await nearestExisting(folder), folder);
}

async function checkSpace(name: string, place: string, shown: string): Promise<CheckResult> {
  const { bavail, bsize } = await statfs(place);
  const free = bavail * bsize;
  const found = `${shown}, ${(free / 2 ** 30).toFixed(1)} GiB free`;
  const advice = 'Make room: nix-collect-garbage removes store paths that nothing needs.';
  if (free < tooFewBytes) return missing(name, found, advice);
  return free < littleBytes ? attention(name, found, advice) : good(name, found);
}

async function nearestExisting(path: string): Promise<string> {
  for (let place = path; ; place = dirname(place)) {
    const there = await access(place).then(
      () => true,
      () => false,
    );
    if (there || dirname(place) === place) return place;
  }
}

export async function checkDatabase(context: CommandContext, config: Config): Promise<CheckResult> {
  try {
    if (config.database.url === undefined) await requireAccess(config.dataDir);
    const running = config.database.url ?? (await findEmbeddedPostgres(config.dataDir));
    if (running !== undefined) return await checkRunningDatabase(context, running);
    const { binaries } = config.database;
    const found = await findBinaries({
      searchPath: context.env.PATH ?? '',
      copyTo: config.dataDir,
      ...(binaries && { configured: binaries }),
    });
    return good('database', `built-in PostgreSQL ${found.version}, starts with the server`);
  } catch (error) {
    return broken('database', error);
  }
}

async function checkRunningDatabase(context: CommandContext, url: string): Promise<CheckResult> {
  const database = await openDatabase(url, context.log, {
    maxConnections: 1,
    applicationName: 'ringmaster doctor',
  });
  try {
    const { pending, unknown } = await migrationStatus(database);
    const where = `${describeDatabase(url)} answers`;
    if (unknown.length > 0) {
      return missing(
        'database',
        `${where}, but a newer version has used it`,
        'Run that version or a later one.',
      );
    }
    if (pending.length === 0) return good('database', where);
    return attention(
      'database',
      `${where}, ${count(pending.length, 'migration')} pending`,
      "The server applies them when it starts; 'ringmaster migrate up' does it now.",
    );
  } finally {
    await database.close();
  }
}

/** A port in use is fine when our own server has it. */
export async function checkPort({ server, dataDir }: Config): Promise<CheckResult> {
  const failure = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    const probe = createServer();
    probe.once('error', resolve);
    probe.listen(server.port, server.host, () => probe.close(() => resolve(undefined)));
  });
  const where = `${server.host}:${server.port}`;
  if (failure === undefined) return good('port', `${where} is free`);
  if (failure.code !== 'EADDRINUSE') {
    return missing('port', `${where}: ${failure.message}`, 'Set server.host and server.port (HOST, PORT).');
  }
  const holder = await dataDirectoryHolder(dataDir).catch(() => undefined);
  if (holder !== undefined)
    return good('port', `${where} is in use; a server runs here (process ${holder.pid})`);
  return attention('port', `${where} is in use`, 'Choose another one for the server with --port or PORT.');
}
