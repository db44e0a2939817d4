import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { isConnectionError } from './connection-errors.ts';
import { openDatabase, parseBigint } from './database.ts';
import { describeDatabase } from './opening-errors.ts';
import { createTestDatabase, type TestDatabase, testServers } from './test-database.ts';

describe.each(testServers)('a database on $name', (server) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase(server);
  });
  afterAll(() => database.drop());

  it('returns bigint and count() as numbers', async () => {
    const result = await database.knex.raw('select 9007199254740991::bigint as big, count(*) as many');
    expect(result.rows).toEqual([{ big: 9007199254740991, many: 1 }]);
  });

  it('fails a statement whose bigint a number would round', async () => {
    await expect(database.knex.raw('select 9007199254740993::bigint')).rejects.toThrow(/does not fit/);
  });

  it('tells a lost connection from a wrong statement, and works again after one', async () => {
    const killed = database.knex.transaction(async (trx) => {
      const pid = await trx.raw('select pg_backend_pid() as pid');
      await database.pool.query('select pg_terminate_backend($1)', [pid.rows[0].pid]);
      await trx.raw('select 1');
    });
    expect(isConnectionError(await killed.catch((error) => error))).toBe(true);
    const wrong = await database.knex.raw('select nonsense').catch((error) => error);
    expect(isConnectionError(wrong)).toBe(false);
    const again = await database.knex.raw('select 1 as one');
    expect(again.rows).toEqual([{ one: 1 }]);
  });

  it('survives that the server ends idle connections', async () => {
    await database.pool.query('select 1');
    const client = await database.pool.connect();
    await client.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    client.release();
    // Who asks before the end of a connection was heard of fails by it, in a way that is known; when all have
    // been tried, there is an answer.
    for (const ask of [
      () => database.pool.query('select 1 as one'),
      () => database.knex.raw('select 1 as one'),
    ]) {
      const tries = async (left: number): Promise<{ rows: unknown[] }> =>
        ask().catch((error: unknown) => {
          expect(isConnectionError(error)).toBe(true);
          expect(left).toBeGreaterThan(0);
          return tries(left - 1);
        });
      expect((await tries(20)).rows).toEqual([{ one: 1 }]);
    }
  });
});

describe('opening a database', () => {
  it('says which database does not answer, without the password', async () => {
    const opened = openDatabase('postgresql://me:hunter2@127.0.0.1:1/ci', silentLogger());
    const error = await opened.catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'database-unreachable', exitStatus: 3 });
    expect(error.message).toContain('127.0.0.1:1/ci');
    expect(error.message).not.toContain('hunter2');
  });

  it.each([
    ['postgresql://ci:hunter2@secret/word@db.example/ci', 'database-url-invalid', '%40'],
    ['postgresql://ci:hunter2#word@db.example/ci', 'database-url-invalid', '%23'],
    ['postgresql://ci:hunter2@127.0.0.1:99999/ci', 'database-url-invalid', 'HOST:PORT'],
    ['postgresql://ci:1?hunter2@127.0.0.1:9/ci?host=127.0.0.1', 'database-unreachable', 'database.url'],
  ])('says how an address is to be written, without repeating the password (%s)', async (url, code, hint) => {
    const error = await openDatabase(url, silentLogger()).catch((thrown) => thrown);
    expect(error).toMatchObject({ code, exitStatus: 3, hint: expect.stringContaining(hint) });
    expect(error.message).not.toMatch(/hunter2|secret|word/);
  });

  it('tells a database that is not there, and TLS that the server does not speak, from one that is away', async () => {
    const server = await createTestDatabase();
    const other = server.url.replace(/\/test_[0-9a-f]+/, '/never_made');
    await expect(openDatabase(other, silentLogger())).rejects.toMatchObject({
      code: 'database-missing',
      hint: expect.stringContaining('CREATE DATABASE'),
    });
    const stranger = server.url.replace(/^(postgres(?:ql)?:\/\/)[^@/]*@?/, '$1stranger@');
    await expect(openDatabase(stranger, silentLogger())).rejects.toMatchObject({ code: 'database-refused' });
    await server.drop();
  });

  it('describes a server behind a socket by its directory', () => {
    expect(describeDatabase('postgresql://u:p@/ci?host=%2Frun%2Fpg')).toBe('/run/pg/ci');
    expect(describeDatabase('nonsense')).toBe('the configured database');
  });

  it('reads negative bigints', () => {
    expect(parseBigint('-5')).toBe(-5);
  });
});

describe('a statement that fails', () => {
  it('does not repeat the values it was given, which may be secret, in the words that are logged', async () => {
    const database = await createTestDatabase();
    const failing = database.knex('processes').insert({ hostname: 'hunter2', nonsense: 'hunter3' });
    const error = await failing.catch((thrown) => thrown);
    expect(error.message).toContain('nonsense');
    expect(`${error.message} ${error.stack}`).not.toMatch(/hunter/);
    await database.drop();
  });
});
