/**
 * Databases for tests. Not part of the program.
 *
 *     const database = await createTestDatabase();      // migrated, empty, this test file's own
 *     afterAll(() => database.drop());
 *
 * One embedded server serves a whole vitest run. It is started by the global set-up
 * (test/global-setup.ts), in vitest's main process, when the first test file asks for it: runs that
 * need no database do not pay for one. The migrations run once, into a template; a test file's
 * database is a copy of it (about 60 ms). The server flushes nothing to disk (`fsync=off`).
 *
 * With TEST_DATABASE_URL (a superuser's or CREATEDB user's URL of any other PostgreSQL >= 14) there
 * is a second server. Only what depends on the server runs on both:
 *
 *     describe.each(testServers)('tasks on $name', (server) => { … createTestDatabase(server) … })
 *
 * Everything else runs on the embedded one alone, so the second server costs a few seconds.
 */
import { createConnection } from 'node:net';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { inject } from 'vitest';
import { z } from 'zod';
import { type Logger, silentLogger } from '../basics/index.ts';
import { type Database, openDatabase } from './database.ts';

export interface TestServer {
  readonly name: string;
  /** Address of the set-up's server starter, or the URL of the outside server. */
  readonly source: 'embedded' | 'outside';
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Unix socket on which the global set-up answers with a server's address. */
    testServerSocket: string;
    outsideTestServer: boolean;
  }
}

const embedded: TestServer = { name: 'the embedded PostgreSQL', source: 'embedded' };
const outside: TestServer = { name: 'an outside PostgreSQL', source: 'outside' };

/** The servers there are in this run. */
export const testServers: readonly TestServer[] = inject('outsideTestServer')
  ? [embedded, outside]
  : [embedded];

export interface TestDatabase extends Database {
  /** Closes its connections, ends those of others and drops it. */
  drop(): Promise<void>;
}

/** A migrated, empty database of its own. */
export async function createTestDatabase(
  server: TestServer = embedded,
  log: Logger = silentLogger(),
): Promise<TestDatabase> {
  const { url, template } = await askSetup(server);
  const name = `test_${crypto.randomUUID().replaceAll('-', '')}`;
  await administer(url, `create database ${name} template ${template}`);
  const database = await openDatabase(withDatabase(url, name), log);
  return {
    ...database,
    async drop() {
      await database.close();
      await administer(url, `drop database ${name} with (force)`);
    },
  };
}

/** A server's URL and the template on it. */
const address = z.object({ url: z.string(), template: z.string() });

async function askSetup(server: TestServer): Promise<z.infer<typeof address>> {
  const socket = createConnection(inject('testServerSocket'));
  socket.write(server.source);
  const answer = await text(socket);
  const parsed = address.safeParse(JSON.parse(answer));
  if (!parsed.success) throw new Error(`no database for tests: ${answer}`);
  return parsed.data;
}

/** Runs one statement on a server, outside any test database. */
async function administer(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** The same server's URL with another database. */
function withDatabase(url: string, database: string): string {
  return url.replace(/^(postgres(?:ql)?:\/\/[^/?]*)(\/[^?]*)?/, `$1/${database}`);
}
