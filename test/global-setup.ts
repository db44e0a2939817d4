/**
 * Compiles the program that the stories drive. Starts the servers that src/postgres/test-database.ts
 * hands out, each when the first test file asks for it, and ends them with the run. Test files run in
 * processes of their own; they ask over a unix socket.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { silentLogger } from '../src/basics/index.ts';
import {
  dataDirectoryHolder,
  lockDataDirectory,
  migrate,
  openDatabase,
  startEmbeddedPostgres,
} from '../src/postgres/index.ts';
import { compileProgram } from './support/compiled-program.ts';
import { programVariable } from './support/program-command.ts';

interface ServerAddress {
  readonly url: string;
  readonly template: string;
  stop(): Promise<void>;
}

const directoryPrefix = 'ringmaster-test-postgres-';

/** Called by vitest before the first test file; what it returns runs after the last one. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const program = await compileProgram();
  process.env[programVariable] = program.main;
  const outsideUrl = process.env.TEST_DATABASE_URL;
  const started = new Map<string, Promise<ServerAddress>>();
  const start = (source: string): Promise<ServerAddress> => {
    if (source === 'outside' && outsideUrl) return useOutside(outsideUrl);
    return startEmbedded();
  };
  const directory = await mkdtemp(join(tmpdir(), 'ringmaster-test-'));
  const socket = join(directory, 'servers');
  const server = createServer((connection) => {
    connection.once('data', (source) => {
      const address = started.get(source.toString()) ?? start(source.toString());
      started.set(source.toString(), address);
      address.then(
        ({ url, template }) => connection.end(JSON.stringify({ url, template })),
        (error) => connection.end(JSON.stringify({ error: String(error) })),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  project.provide('testServerSocket', socket);
  project.provide('outsideTestServer', Boolean(outsideUrl));
  return async () => {
    server.close();
    const servers = await Promise.allSettled(started.values());
    for (const one of servers) if (one.status === 'fulfilled') await one.value.stop();
    await rm(directory, { recursive: true, force: true });
    await program.remove();
  };
}

async function startEmbedded(): Promise<ServerAddress> {
  await removeLeftovers();
  const dataDir = await mkdtemp(join(tmpdir(), directoryPrefix));
  const lock = await lockDataDirectory(dataDir);
  const server = await launch(lock);
  const template = await makeTemplate(server.url, 'ringmaster_template');
  return {
    url: server.url,
    template,
    async stop() {
      await server.stop();
      await lock.release();
      await removeFolder(dataDir);
    },
  };
}

function launch(lock: Awaited<ReturnType<typeof lockDataDirectory>>) {
  const searchPath = process.env.PATH ?? '';
  return startEmbeddedPostgres({ lock, searchPath, durable: false, log: silentLogger() });
}

async function useOutside(url: string): Promise<ServerAddress> {
  const name = `ringmaster_template_${crypto.randomUUID().replaceAll('-', '')}`;
  const template = await makeTemplate(url, name);
  return { url, template, stop: () => administer(url, `drop database ${template} with (force)`) };
}

async function makeTemplate(url: string, name: string): Promise<string> {
  await administer(url, `create database ${name}`);
  const database = await openDatabase(
    url.replace(/^([^:]*:\/\/[^/?]*)(\/[^?]*)?/, `$1/${name}`),
    silentLogger(),
  );
  try {
    await migrate(database, silentLogger());
  } finally {
    await database.close();
  }
  return name;
}

async function administer(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Ends and removes servers whose test run was killed before it could. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(directoryPrefix)) continue;
    const dataDir = join(tmpdir(), name);
    if (await dataDirectoryHolder(dataDir)) continue;
    const lock = await lockDataDirectory(dataDir).catch(() => undefined);
    if (!lock) continue;
    await launch(lock)
      .then((server) => server.stop())
      .catch(() => {});
    await removeFolder(dataDir);
  }
}

/** Another run may take it for a leftover at the same moment and put files into it. */
function removeFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true, maxRetries: 10 });
}
