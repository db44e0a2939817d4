/**
 * The database of a server: the one it was told of, or the built-in one below its data directory.
 */
import type { Logger } from '../basics/index.ts';
import {
  type Database,
  type DataDirectoryLock,
  migrate,
  openDatabase,
  startEmbeddedPostgres,
} from '../postgres/index.ts';

export interface StorageOptions {
  readonly lock: DataDirectoryLock;
  /** Undefined: the built-in server. */
  readonly databaseUrl: string | undefined;
  /** Directory of `initdb` and `postgres`; undefined: found by itself. */
  readonly binaries: string | undefined;
  readonly searchPath: string;
  /** Gives up what may wait for long. */
  readonly signal?: AbortSignal | undefined;
  readonly log: Logger;
}

export interface Storage {
  readonly database: Database;
  readonly embedded: boolean;
  /** Closes the connections, and ends the built-in server. */
  close(): Promise<void>;
}

/** Opens the database and brings its schema up to date. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { log } = options;
  const server =
    options.databaseUrl === undefined
      ? await startEmbeddedPostgres({
          lock: options.lock,
          searchPath: options.searchPath,
          log,
          ...(options.binaries === undefined ? {} : { binaries: options.binaries }),
        })
      : undefined;
  try {
    const database = await openDatabase(server?.url ?? options.databaseUrl ?? '', log);
    try {
      await migrate(database, log, { signal: options.signal });
    } catch (error) {
      await database.close();
      throw error;
    }
    return {
      database,
      embedded: server !== undefined,
      async close() {
        await database.close();
        await server?.stop();
      },
    };
  } catch (error) {
    await server?.stop();
    throw error;
  }
}
