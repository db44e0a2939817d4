import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { type Database, openDatabase } from './database.ts';
import { migrate, migrationStatus } from './migrate.ts';
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
    const done = await Promise.all([empty, ...others].map((database) => migrate(database, log, directory)));
    await Promise.all(others.map((database) => database.close()));
    expect(done.flat()).toEqual(['0001_first']);
    expect(await migrationStatus(empty, directory)).toMatchObject({ applied: ['0001_first'], pending: [] });
  });

  it('applies what a new version brings, operators with question marks included', async () => {
    const sql = `create table second (data jsonb default '{"a":1}', check (data ? 'a'));`;
    await writeFile(join(directory, '0002_second.sql'), sql);
    expect(await migrate(empty, log, directory)).toEqual(['0002_second']);
    await expect(empty.knex('second').insert({ data: '{}' })).rejects.toThrow(/check/);
    await empty.knex('second').insert({ data: '{"a":2}' });
  });

  it('changes nothing when one of several migrations fails', async () => {
    const broken = await mkdtemp(join(tmpdir(), 'ringmaster-migrations-'));
    await cp(directory, broken, { recursive: true });
    await writeFile(join(broken, '0003_third.sql'), 'create table third (id int);');
    await writeFile(join(broken, '0004_fourth.sql'), 'create table oops (;');
    await expect(migrate(empty, log, broken)).rejects.toThrow(/syntax/);
    expect((await migrationStatus(empty, broken)).pending).toEqual(['0003_third', '0004_fourth']);
    expect(await empty.knex.schema.hasTable('third')).toBe(false);
    await rm(broken, { recursive: true });
  });

  it('refuses a database that a newer version has migrated', async () => {
    await rm(join(directory, '0002_second.sql'));
    await expect(migrate(empty, log, directory)).rejects.toMatchObject({ code: 'database-newer' });
  });

  it('has applied all of the program in a test database', async () => {
    const status = await migrationStatus(outer);
    expect(status.pending).toEqual([]);
    expect(status.applied).toContain('0001_processes');
  });
});
