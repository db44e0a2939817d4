/** Which migrations there are, and which of them a database has had. */
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Database } from './database.ts';

export interface MigrationStatus {
  /** Names without `.sql`, oldest first. */
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied here by a newer program; this one does not know them. */
  readonly unknown: readonly string[];
}

/** The same two levels up from src/postgres and from dist/postgres. */
const defaultDirectory = fileURLToPath(new URL('../../migrations/', import.meta.url));

/** What has been applied and what is pending. Reads only. */
export async function migrationStatus(
  database: Pick<Database, 'pool'>,
  directory = defaultDirectory,
): Promise<MigrationStatus> {
  const known = await migrationNames(directory);
  const { rows: tables } = await database.pool.query(
    "select to_regclass('schema_migrations') is not null as exists",
  );
  const { rows }: { rows: readonly { name: string }[] } = tables[0].exists
    ? await database.pool.query('select name from schema_migrations order by id')
    : { rows: [] };
  const applied = rows.map((row) => row.name);
  return {
    applied,
    pending: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}

export function readMigration(name: string, directory = defaultDirectory): Promise<string> {
  return readFile(`${directory}/${name}.sql`, 'utf8');
}

async function migrationNames(directory: string): Promise<string[]> {
  const files = await readdir(directory);
  return files
    .filter((file) => /^\d{4}_.*\.sql$/.test(file))
    .map((file) => file.slice(0, -'.sql'.length))
    .sort();
}
