/** Commands that work on the database directly: the configured one, or the built-in one. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../basics/config/index.ts';
import { exitStatus, OperatorError } from '../basics/index.ts';
import {
  type Database,
  findEmbeddedPostgres,
  lockDataDirectory,
  migrationStatus,
  openDatabase,
  startEmbeddedPostgres,
} from '../postgres/index.ts';
import type { CommandContext } from './context.ts';

/** Opens the configured database; a built-in server that was started for this is ended again. */
export async function withDatabase(
  context: CommandContext,
  config: Config,
  work: (database: Database) => Promise<number>,
): Promise<number> {
  const { log } = context;
  const running = config.database.url ?? (await findEmbeddedPostgres(config.dataDir));
  if (running !== undefined) return use(await openDatabase(running, log, connection), work);
  const lock = await lockDataDirectory(config.dataDir);
  try {
    const { binaries } = config.database;
    const searchPath = context.env.PATH ?? '';
    const server = await startEmbeddedPostgres({ lock, searchPath, log, ...(binaries && { binaries }) });
    try {
      return await use(await openDatabase(server.url, log, connection), work);
    } finally {
      await server.stop();
    }
  } finally {
    await lock.release();
  }
}

const connection = { maxConnections: 2, applicationName: 'ringmaster command line' } as const;

async function use(database: Database, work: (database: Database) => Promise<number>): Promise<number> {
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

/** Looking must not create a database. */
export async function requireCluster(dataDir: string): Promise<void> {
  const found = await stat(join(dataDir, 'postgres')).catch(() => undefined);
  if (found !== undefined) return;
  throw new OperatorError({
    code: 'database-missing',
    message: `There is no database in ${dataDir} yet.`,
    hint: "'ringmaster serve' creates it, and so does 'ringmaster migrate up'. For a server of your own set DATABASE_URL.",
    exitStatus: exitStatus.configuration,
  });
}

/** As `withDatabase`, for what needs the tables of this version, and does not make them. */
export async function withServerDatabase(
  context: CommandContext,
  config: Config,
  work: (database: Database) => Promise<number>,
): Promise<number> {
  if (config.database.url === undefined) await requireCluster(config.dataDir);
  return withDatabase(context, config, async (database) => {
    const { pending, unknown } = await migrationStatus(database);
    if (pending.length + unknown.length === 0) return work(database);
    throw new OperatorError({
      code: 'database-version',
      message: `The database is of ${pending.length > 0 ? 'an older' : 'a newer'} version of Ringmaster.`,
      hint:
        pending.length > 0 ? "'ringmaster migrate up' brings it up to date." : 'Use that version here, too.',
      exitStatus: exitStatus.configuration,
    });
  });
}
