import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { type Database, openDatabase } from './database.ts';
import { migrate } from './migrate.ts';
import { migrationStatus } from './migration-files.ts';
import { createTestDatabase, type TestDatabase, testServers } from './test-database.ts';

const log = silentLogger();

describe.each(testServers)('migrations on $name', (server) => {
  let outer: TestDatabase;
  let empty: Database;
  let directory: string;
  const name = `migrate_${crypto.randomUUID().replaceAll('-', '')}`;

  beforeAll(async () => {
    outer = await createTestDatabase(server);
    await outer.knex.raw('create database ??', [name]);
    empty = await openDatabase(outer.url.replace(/\/test_[0-9a-f]+/, `/${name}`), log);
    directory = await mkdtemp(join(tmpdir(), 'ringmaster-migrations-'));
    await writeFile(
      join(directory, '0001_first.sql'),
      'create table first (id int); create table more (id int);',
    );
    await writeFile(join(directory, 'notes.txt'), 'not a migration');
  });
  afterAll(async () => {
    await empty?.close();
    await outer.knex.raw('drop database ??', [name]);
    await outer.drop();
    await rm(directory, { recursive: true });
  });

  it('shows everything as pending in an empty database, without changing it', async () => {
    expect(await migrationStatus(empty, directory)).toEqual({
      applied: [],
      pending: ['0001_first'],
      unknown: [],
    });
    const tables = await empty.knex.raw("select 1 from pg_tables where schemaname = 'public'");
    expect(tables.rows).toEqual([]);
  });

  it('migrates once when several servers start at the same time', async () => {
    const others = await Promise.all([1, 2].map(() => openDatabase(empty.url, log)));
    const done = await Promise.all(
      [empty, ...others].map((database) => migrate(database, log, { directory })),
    );
    await Promise.all(others.map((database) => database.close()));
    expect(done.flat()).toEqual(['0001_first']);
    expect(await migrationStatus(empty, directory)).toMatchObject({ applied: ['0001_first'], pending: [] });
  });

  it('applies what a new version brings, operators with question marks included', async () => {
    const sql = `create table second (data jsonb default '{"a":1}', check (data ? 'a'));`;
    await writeFile(join(directory, '0002_second.sql'), sql);
    expect(await migrate(empty, log, { directory })).toEqual(['0002_second']);
    await expect(empty.knex('second').insert({ data: '{}' })).rejects.toThrow(/check/);
    await empty.knex('second').insert({ data: '{"a":2}' });
  });

  it('keeps what it applied before one that fails, and undoes all of that one', async () => {
    const broken = await mkdtemp(join(tmpdir(), 'ringmaster-migrations-'));
    await cp(directory, broken, { recursive: true });
    await writeFile(join(broken, '0003_third.sql'), 'create table third (id int);');
    await writeFile(join(broken, '0004_fourth.sql'), 'create table fourth (id int); create table oops (;');
    await expect(migrate(empty, log, { directory: broken })).rejects.toMatchObject({
      code: 'migration-failed',
      message: expect.stringMatching(/0004_fourth.*syntax/),
    });
    expect((await migrationStatus(empty, broken)).pending).toEqual(['0004_fourth']);
    expect(await empty.knex.schema.hasTable('fourth')).toBe(false);
    await empty.knex.raw('drop table third');
    await empty.knex('schema_migrations').where({ name: '0003_third' }).delete();
    await rm(broken, { recursive: true });
  });

  it('lets readers of a table through while somebody uses it for long, says who, and gets there in the end', async () => {
    await writeFile(join(directory, '0005_fifth.sql'), 'alter table first add column more int;');
    const backup = await openDatabase(empty.url, log, { applicationName: 'pg_dump' });
    const dump = await backup.knex.transaction();
    await dump.raw('select * from first');
    const heard = new Promise<string>((resolve) => {
      migrating = migrate(empty, log, { directory, lockTimeoutMs: 1_500, onWait: resolve });
    });
    expect(await heard).toMatch(
      /^pg_dump \(process \d+ of the database server, user \w+, idle in transaction, in a/,
    );
    // Queued behind the migration until that gives way: for ever, if it did not.
    await empty.knex.raw('select * from first');
    expect((await migrationStatus(empty, directory)).pending).toEqual(['0005_fifth']);
    await dump.rollback();
    await backup.close();
    expect(await migrating).toEqual(['0005_fifth']);
  });
  let migrating: Promise<readonly string[]> | undefined;

  it('ends when it is told to, with nothing left behind, whatever it waits for', async () => {
    await writeFile(join(directory, '0006_sixth.sql'), 'alter table first add column yet_more int;');
    const reader = await empty.knex.transaction();
    await reader.raw('select * from first');
    const interruption = new AbortController();
    const migrated = migrate(empty, log, {
      directory,
      signal: interruption.signal,
      onWait: () => interruption.abort(),
    });
    await expect(migrated).rejects.toMatchObject({ name: 'AbortError' });
    await reader.rollback();
    expect(await migrate(empty, log, { directory })).toEqual(['0006_sixth']);
  });

  it('tries again after a deadlock with work that goes on', async () => {
    await writeFile(
      join(directory, '0007_seventh.sql'),
      `set local deadlock_timeout = '10ms'; set local lock_timeout = 0; alter table first add column seventh int;
       select pg_advisory_xact_lock(7); alter table more add column seventh int;`,
    );
    const [worker, gate] = await Promise.all([empty.knex.transaction(), empty.knex.transaction()]);
    await gate.raw('select pg_advisory_xact_lock(7)');
    // The migration is to be the one that PostgreSQL sends away.
    await worker.raw("set local deadlock_timeout = '1h'");
    await worker.raw('select * from more');
    const migrated = migrate(empty, log, { directory, lockTimeoutMs: 50 });
    const waiting = () =>
      empty.knex('pg_stat_activity').where({ datname: name, wait_event_type: 'Lock' }).pluck('pid');
    await expect.poll(waiting).toHaveLength(1);
    const reading = worker.raw('select * from first').then(() => {});
    await expect.poll(waiting).toHaveLength(2);
    await gate.commit();
    await reading;
    await worker.commit();
    expect(await migrated).toEqual(['0007_seventh']);
  });

  it('does not go on without its lock when the connection is lost between two migrations', async () => {
    await writeFile(join(directory, '0008_eighth.sql'), 'create table eighth (id int);');
    // Whoever reads it waits for whoever writes it.
    execFileSync('mkfifo', [join(directory, '0009_ninth.sql')]);
    const lost = new Promise<unknown>((resolve, reject) => {
      const migrated = migrate(empty, log, {
        directory,
        onApplied: () => {
          const kill = `select pg_terminate_backend(pid, 50000) from pg_stat_activity
                        where application_name = 'ringmaster migrate' and datname = current_database()`;
          empty.knex
            .raw(kill)
            .then(() => writeFile(join(directory, '0009_ninth.sql'), 'create table ninth (id int);'))
            .catch(reject);
        },
      });
      migrated.then(resolve, resolve);
    });
    expect(await lost).toMatchObject({
      code: 'migration-failed',
      message: expect.stringContaining('0009_ninth of the database could not be applied'),
      hint: expect.stringContaining('Start again'),
    });
    await rm(join(directory, '0009_ninth.sql'));
    expect((await migrationStatus(empty, directory)).applied).toContain('0008_eighth');
  });

  it.runIf(server.source === 'embedded')(
    'tells a user without rights on the database what to do',
    async () => {
      const poor = `poor_${name.slice(-12)}`;
      await empty.knex.raw(`create role ${poor} login`);
      const url = empty.url.replace(/^(postgres(?:ql)?:\/\/)[^@/]*@?/, `$1${poor}@`);
      const fresh = `fresh_${name.slice(-12)}`;
      await outer.knex.raw('create database ??', [fresh]);
      const database = await openDatabase(url.replace(name, fresh), log);
      await expect(migrate(database, log, { directory })).rejects.toMatchObject({
        code: 'migration-failed',
        hint: expect.stringContaining('OWNER TO'),
        exitStatus: 3,
      });
      await database.close();
      await outer.knex.raw('drop database ??', [fresh]);
      await outer.knex.raw(`drop role ${poor}`);
    },
  );

  it('refuses a database that a newer version has migrated', async () => {
    await rm(join(directory, '0002_second.sql'));
    await expect(migrate(empty, log, { directory })).rejects.toMatchObject({ code: 'database-newer' });
  });

  it('has applied all of the program in a test database', async () => {
    const status = await migrationStatus(outer);
    expect(status.pending).toEqual([]);
    expect(status.applied).toContain('0001_processes');
  });
});
