/** Commands that work on the database directly: the configured one, or the built-in one. */
import type { Config } from '../basics/config/index.ts';
import {
  type Database,
  findEmbeddedPostgres,
  lockDataDirectory,
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
