/**
 * The connection to PostgreSQL: one knex for statements and transactions, one pg pool for what
 * needs plain connections (the task runner). Neither connects before it is used.
 *
 * A server that restarts must never end this process: pg emits 'error' on idle and on checked-out
 * connections, and an 'error' nobody listens to is fatal in Node. Statements under way fail with
 * an error that `isConnectionError` knows; the next one gets a fresh connection.
 */
import type { Knex } from 'knex';
import pg from 'pg';
import { type Logger, OperatorError } from '../basics/index.ts';
import { cannotOpen, checkDatabaseUrl } from './opening-errors.ts';

export type { Knex } from 'knex';

export interface Database {
  readonly knex: Knex;
  readonly pool: pg.Pool;
  /** Connection URL; may hold a password, so it is never logged. */
  readonly url: string;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** Connections of knex at the same time; the pool has as many again. Default 10. */
  readonly maxConnections?: number;
  /** Seen in pg_stat_activity. Default `ringmaster`. */
  readonly applicationName?: string;
  /** Commits over knex do not wait for the disk: what must not be lost asks for a flush. Default false. */
  readonly asynchronousCommits?: boolean;
}

/** PostgreSQL's type number of `bigint`. */
const bigintType = 20;
const oldestVersion = 14;

/** Connects and checks the server's version. Close it to let the process end. */
export async function openDatabase(
  url: string,
  log: Logger,
  options: DatabaseOptions = {},
): Promise<Database> {
  checkDatabaseUrl(url);
  const connection = connectionSettings(url, options.applicationName);
  const max = options.maxConnections ?? 10;
  const pool = new pg.Pool({ ...connection, max });
  const report = (error: Error) => log.warn({ err: error }, 'a database connection was lost');
  pool.on('error', report);
  pool.on('connect', (client) => client.on('error', report));
  // Loaded here: commands that need no database would start later by a quarter with it.
  const { default: knexFactory } = await import('knex');
  const knex = knexFactory({
    client: 'pg',
    connection: options.asynchronousCommits
      ? { ...connection, options: '-c synchronous_commit=off' }
      : connection,
    pool: { min: 0, max },
    acquireConnectionTimeout: 30_000,
    // Otherwise errors would have values in the place of operators like `?`.
    compileSqlOnError: false,
    log: {
      debug: (message: unknown) => log.debug({ knex: message }, 'knex'),
      warn: (message: unknown) => log.debug({ knex: message }, 'knex'),
      error: (message: unknown) => log.warn({ knex: message }, 'knex'),
      deprecate: () => {},
    },
  });
  const close = async () => {
    await Promise.all([knex.destroy(), pool.end()]);
  };
  try {
    await checkVersion(knex);
  } catch (error) {
    await close();
    throw error instanceof OperatorError ? error : cannotOpen(url, error);
  }
  return { knex, pool, url, close };
}

/** Settings of one pg connection; bigint arrives as a number. */
export function connectionSettings(url: string, applicationName = 'ringmaster') {
  return {
    connectionString: url,
    application_name: applicationName,
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    types: { getTypeParser },
  };
}

function getTypeParser(type: number, format = 'text') {
  if (format === 'binary') return pg.types.getTypeParser(type, 'binary');
  return type === bigintType ? parseBigint : pg.types.getTypeParser(type);
}

/** Reads a bigint as a number, and refuses one that a number would round. */
export function parseBigint(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a number`);
  return value;
}

async function checkVersion(knex: Knex): Promise<void> {
  const result = await knex.raw("select current_setting('server_version_num')::int as number");
  const version = Math.floor(Number(result.rows[0].number) / 10_000);
  if (version >= oldestVersion) return;
  throw new OperatorError({
    code: 'database-too-old',
    message: `The database server is PostgreSQL ${version}; at least ${oldestVersion} is needed.`,
    hint: 'Upgrade the server, or leave database.url unset to use the built-in one.',
    exitStatus: 3,
  });
}
