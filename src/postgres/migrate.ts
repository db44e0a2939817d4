/**
 * Migrations: plain numbered SQL files in `migrations/` at the package's root, forward only.
 * All pending ones run in one transaction, after the task queue's own schema. Several servers may
 * start at once: they queue on an advisory lock, and the later ones find nothing left to do.
 */
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Knex } from 'knex';
import { type Logger, OperatorError } from '../basics/index.ts';
import type { Database } from './database.ts';
import { migrateTaskQueue } from './task-queue.ts';

export interface MigrationStatus {
  /** Names without `.sql`, oldest first. */
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied here by a newer program; this one does not know them. */
  readonly unknown: readonly string[];
}

/** The same two levels up from src/postgres and from dist/postgres. */
const defaultDirectory = fileURLToPath(new URL('../../migrations/', import.meta.url));
const table = 'schema_migrations';
/** Any number, the same in every process: `select hashtext('ringmaster migrations')`. */
const advisoryLock = 1_834_207_116;

/** Applies what is pending and returns the names of the migrations it applied. */
export async function migrate(
  database: Database,
  log: Logger,
  directory = defaultDirectory,
): Promise<readonly string[]> {
  const client = await database.pool.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [advisoryLock]);
    const status = await migrationStatus(database, directory);
    if (status.unknown.length > 0) throw newerDatabase(status.unknown);
    await migrateTaskQueue(database, log);
    const [, names]: [number, string[]] = await database.knex.migrate.latest({
      tableName: table,
      migrationSource: sqlFiles(directory),
    });
    for (const name of names) log.info({ migration: name }, 'migrated the database');
    return names;
  } finally {
    // Destroying the connection also ends its advisory lock, whatever state it is in.
    client.release(true);
  }
}

/** What has been applied and what is pending. Reads only. */
export async function migrationStatus(
  database: Database,
  directory = defaultDirectory,
): Promise<MigrationStatus> {
  const known = await migrationNames(directory);
  const exists = await database.knex.raw('select to_regclass(?) is not null as exists', [table]);
  const rows: readonly { name: string }[] = exists.rows[0].exists
    ? await database.knex(table).select('name').orderBy('id')
    : [];
  const applied = rows.map((row) => row.name);
  return {
    applied,
    pending: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}

async function migrationNames(directory: string): Promise<string[]> {
  const files = await readdir(directory);
  return files
    .filter((file) => /^\d{4}_.*\.sql$/.test(file))
    .map((file) => file.slice(0, -'.sql'.length))
    .sort();
}

function sqlFiles(directory: string): Knex.MigrationSource<string> {
  return {
    getMigrations: () => migrationNames(directory),
    getMigrationName: (name) => name,
    async getMigration(name) {
      const sql = await readFile(`${directory}/${name}.sql`, 'utf8');
      return {
        // knex takes a bare '?' for a binding; in SQL it is a jsonb operator.
        up: (knex) => knex.raw(sql.replaceAll('?', '\\?')),
        down: () => Promise.reject(new Error('migrations only go forward')),
      };
    },
  };
}

function newerDatabase(unknown: readonly string[]): OperatorError {
  return new OperatorError({
    code: 'database-newer',
    message: `The database was migrated by a newer version (${unknown.join(', ')}).`,
    hint: 'Run that version or a later one. Going back needs the backup from before the upgrade.',
    exitStatus: 3,
  });
}
