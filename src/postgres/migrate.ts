/**
 * Migrations: plain numbered SQL files in `migrations/` at the package's root, forward only, each in
 * a transaction of its own, after the task queue's own schema. Several servers may start at once:
 * they queue on an advisory lock, and the later ones find nothing left to do.
 *
 * A statement that waits for a table that others use keeps all who come after it waiting, readers
 * included, and a backup uses tables for hours. So each waits a few seconds, lets the others through,
 * tries again, and says whom it waits for. One transaction each, so that what was waited for once is
 * not waited for again, and no table is kept from the others for longer than its own change takes.
 */
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { type Logger, OperatorError } from '../basics/index.ts';
import { watchBlockers } from './blockers.ts';
import { connectionSettings, type Database } from './database.ts';
import { migrationFailed } from './migration-errors.ts';
import { migrationStatus, readMigration } from './migration-files.ts';
import { migrateTaskQueue } from './task-queue.ts';

export interface MigrateOptions {
  /** Of the files; the program's own by default. */
  readonly directory?: string;
  /** Gives up: what runs is cancelled and undone, what was applied stays. */
  readonly signal?: AbortSignal | undefined;
  /** Words for who is waited for, each time that changes. Logged in any case. */
  readonly onWait?: (blockers: string) => void;
  /** Called after each migration that was applied. */
  readonly onApplied?: (name: string) => void;
  /** Milliseconds that others may have to queue behind one that waits. */
  readonly lockTimeoutMs?: number;
}

/** The one session that migrates. */
interface Session extends MigrateOptions {
  readonly database: Database;
  /** A pool of one connection: all that uses it has the session's locks and settings. */
  readonly own: pg.Pool;
  readonly pid: number;
  readonly log: Logger;
}

/** Any number, the same in every process: `select hashtext('ringmaster migrations')`. */
const advisoryLock = 1_834_207_116;
const defaultLockTimeoutMs = 4_000;

/** Applies what is pending and returns the names of the migrations it applied. */
export async function migrate(
  database: Database,
  log: Logger,
  options: MigrateOptions = {},
): Promise<readonly string[]> {
  const settings = connectionSettings(database.url, 'ringmaster migrate');
  const own = new pg.Pool({ ...settings, max: 1, idleTimeoutMillis: 0, verify: onlyOnce() });
  const lost = (error: Error) => log.debug({ err: error }, 'the connection of the migrations was lost');
  own.on('error', lost);
  own.on('connect', (client) => client.on('error', lost));
  try {
    // A role's own limits are meant for other statements than these.
    await own.query(
      'set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set lock_timeout = 0',
    );
    const { rows } = await own.query('select pg_backend_pid() as pid');
    return await apply({ ...options, database, own, pid: rows[0].pid, log });
  } finally {
    await own.end();
  }
}

/** A second connection would have neither the lock nor the settings of the one that was lost. */
function onlyOnce(): NonNullable<pg.PoolConfig['verify']> {
  let connected = false;
  return (_client, done) => {
    done(connected ? Object.assign(new Error('the connection was lost'), { code: '08006' }) : undefined);
    connected = true;
  };
}

async function apply(session: Session): Promise<readonly string[]> {
  const { own, directory, log } = session;
  await patiently(session, () => own.query('select pg_advisory_lock($1)', [advisoryLock]));
  const { pending, unknown } = await migrationStatus({ pool: own }, directory);
  if (unknown.length > 0) throw newerDatabase(unknown);
  await own.query("select set_config('lock_timeout', $1, false)", [
    String(session.lockTimeoutMs ?? defaultLockTimeoutMs),
  ]);
  await patiently(session, () => migrateTaskQueue(own, log)).catch(migrationFailed('of the task queue'));
  await own
    .query(
      `create table if not exists schema_migrations
       (id serial primary key, name varchar(255), batch int, migration_time timestamptz)`,
    )
    .catch(migrationFailed('that lists migrations'));
  for (const name of pending) {
    await applyOne(session, name).catch(migrationFailed(name));
    log.info({ migration: name }, 'migrated the database');
    session.onApplied?.(name);
  }
  return pending;
}

async function applyOne(session: Session, name: string): Promise<void> {
  const sql = await readMigration(name, session.directory);
  await patiently(session, async () => {
    const client = await session.own.connect();
    try {
      await client.query('begin');
      await client.query(sql);
      await client.query(
        `insert into schema_migrations (name, batch, migration_time)
         select $1, coalesce(max(batch), 0) + 1, now() from schema_migrations`,
        [name],
      );
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => {});
      throw error;
    } finally {
      client.release();
    }
  });
}

/** Does it again while others have what it needs, and says who they are. */
async function patiently<T>(session: Session, work: () => Promise<T>): Promise<T> {
  const { database, pid, log, signal } = session;
  const endSession = () => {
    database.pool.query('select pg_terminate_backend($1)', [pid]).catch(() => {});
  };
  const stopWatching = watchBlockers(database.pool, pid, (blockers) => {
    log.warn({ blockers }, 'the migration of the database waits');
    session.onWait?.(blockers);
  });
  signal?.addEventListener('abort', endSession, { once: true });
  try {
    for (;;) {
      signal?.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        signal?.throwIfAborted();
        if (!isHeldUp(error)) throw error;
      }
      // As long as others were held up, they now have for themselves.
      const pauseMs = session.lockTimeoutMs ?? defaultLockTimeoutMs;
      await setTimeout(pauseMs, undefined, signal ? { signal } : {}).catch(() => {});
    }
  } finally {
    signal?.removeEventListener('abort', endSession);
    await stopWatching();
  }
}

/** A lock timeout; or a deadlock, which PostgreSQL ends by sending one of those in it away. */
function isHeldUp(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '55P03' || error.code === '40P01');
}

function newerDatabase(unknown: readonly string[]): OperatorError {
  return new OperatorError({
    code: 'database-newer',
    message: `The database was migrated by a newer version (${unknown.join(', ')}).`,
    hint: 'Run that version or a later one. Going back needs the backup from before the upgrade.',
    exitStatus: 3,
  });
}
