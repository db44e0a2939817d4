/** Commands that work on the database directly: the configured one, or the built-in one. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
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
  if (config.database.url === undefined) await requireAccess(config.dataDir);
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

/** Where a server that root starts keeps everything; others who look for it do not have it as a default. */
const dataDirOfRoot = '/var/lib/ringmaster';

/** Looking must not create a database. */
export async function requireCluster(dataDir: string): Promise<void> {
  const there = (path: string) =>
    stat(path).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code === 'EACCES',
    );
  if (await there(join(dataDir, 'postgres'))) return;
  const ofRoot = dataDir !== dataDirOfRoot && (await there(join(dataDirOfRoot, 'postgres')));
  throw new OperatorError({
    code: 'database-missing',
    message: `There is no database in ${dataDir} yet.`,
    hint:
      'This command has to know what the server knows: name its configuration with --config, or set RINGMASTER_DATA_DIR or DATABASE_URL as it has them. ' +
      (ofRoot
        ? `A server of root keeps its database in ${dataDirOfRoot}: run the command with sudo.`
        : "Where no server has run yet, 'ringmaster serve' creates a database, and so does 'ringmaster migrate up'."),
    exitStatus: exitStatus.configuration,
  });
}

/** The built-in database lets in the user of its server, and root. */
export async function requireAccess(dataDir: string): Promise<void> {
  const mode = constants.R_OK | constants.W_OK | constants.X_OK;
  const failure = await access(join(dataDir, 'postgres'), mode).catch(
    (error: NodeJS.ErrnoException) => error,
  );
  if (failure?.code !== 'EACCES') return;
  const owner = await stat(dataDir).catch(() => undefined);
  const server = owner && owner.uid !== 0 ? `the user with the id ${owner.uid}` : 'root';
  throw new OperatorError({
    code: 'database-not-yours',
    message: `The database in ${dataDir} is that of a server of ${server}; this user may not use it.`,
    hint: `Run the command as that user, for example with sudo${owner && owner.uid !== 0 ? ` -u '#${owner.uid}'` : ''}.`,
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
    const { applied, pending, unknown } = await migrationStatus(database);
    if (pending.length + unknown.length === 0) return work(database);
    throw new OperatorError({
      code: 'database-version',
      ...(applied.length === 0
        ? {
            message: 'The database is empty: no server has used it yet.',
            hint: "'ringmaster serve' prepares it, and so does 'ringmaster migrate up'. Is it the one that the server has?",
          }
        : unknown.length > 0
          ? {
              message: 'The database is of a newer version of Ringmaster.',
              hint: 'Use the version of the server here, too.',
            }
          : {
              message: 'The database is of an older version of Ringmaster.',
              hint: "Use the version of the server. Where that is this one, its next start brings the database up to date, and so does 'ringmaster migrate up'.",
            }),
      exitStatus: exitStatus.configuration,
    });
  });
}
