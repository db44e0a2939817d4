/** Making a cluster (initdb) and starting a server on it. */
import { chown, mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Logger, OperatorError, runProcess, startDaemon, type UserIds } from '../../basics/index.ts';
import type { Binaries } from './binaries.ts';
import type { ClusterPlace } from './place.ts';
import { askServer, databaseName, type Postmaster } from './postmaster.ts';

/** Longest path of a unix socket in bytes, without the final zero (Linux 107, macOS 103). */
const socketPathLimit = process.platform === 'darwin' ? 103 : 107;
const port = 5432;

/** Makes the cluster if there is none. One that was interrupted is made again. */
export async function ensureCluster({ place, binaries, durable, log }: ServerSettings): Promise<void> {
  const data = join(place.root, 'data');
  const version = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version !== undefined) {
    if (Number(version) !== binaries.version) throw otherVersion(data, version.trim(), binaries);
    return;
  }
  const partial = join(place.root, 'data.new');
  await rm(partial, { recursive: true, force: true });
  await ownDirectory(partial, place.user);
  const result = await runProcess(
    join(binaries.directory, 'initdb'),
    [
      '-D',
      partial,
      '-U',
      databaseName,
      '-E',
      'UTF8',
      ...locale(binaries),
      '--no-instructions',
      ...(durable ? [] : ['--no-sync']),
      '--auth-local=trust',
      '--auth-host=reject',
    ],
    { cwd: place.root, env: serverEnvironment, ...(place.user && { user: place.user }) },
  );
  if (result.exitCode !== 0) throw failed('could not be created', result.stderr, data);
  // A name that appears only when everything is in place: a crash before leaves nothing half done.
  await rename(partial, data);
  log.info({ data, version: binaries.version }, 'created the database');
}

/** Sorts by code point with Unicode case rules, the same on every system, where that exists. */
function locale(binaries: Binaries): string[] {
  return binaries.version >= 17
    ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
    : ['--locale=C'];
}

/** No locale and time zone of the caller's gets in. */
const serverEnvironment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', PGTZ: 'UTC' };

export interface ServerSettings {
  readonly place: ClusterPlace;
  readonly binaries: Binaries;
  /** False only in tests: a crash of the machine may then destroy the cluster. */
  readonly durable: boolean;
  /** Where its socket has been before; a new place is chosen without. */
  readonly socketDirectory?: string | undefined;
  readonly log: Logger;
}

/** Starts the server and waits until it takes connections, however long its recovery takes. */
export async function startServer(settings: ServerSettings): Promise<Postmaster> {
  const { place } = settings;
  await ownDirectory(join(place.root, 'log'), place.user);
  const socketDirectory = settings.socketDirectory ?? (await chooseSocketDirectory(place));
  // Left by a server that was killed; its pid may be another program's now, or not yet be buried.
  // Nobody but a server of this cluster uses the directory, and the caller has seen that none runs.
  await rm(join(socketDirectory, `.s.PGSQL.${port}.lock`), { force: true });
  // Backends of a postmaster that was killed need a moment to notice; until then they hold the
  // shared memory, and the new one refuses to start.
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await launch(settings, socketDirectory);
    if (typeof outcome !== 'string') return outcome;
    if (attempt === 20 || !/shared memory block .* is still in use/.test(outcome)) {
      throw failed('could not be started', outcome, join(place.root, 'log'));
    }
    await pause(250);
  }
}

/** The running server, or what it said before it ended. */
async function launch(settings: ServerSettings, socketDirectory: string): Promise<Postmaster | string> {
  const { place, binaries, log } = settings;
  const logFile = join(place.root, 'log', 'start.log');
  await writeFile(logFile, '');
  const output = await open(logFile, 'a');
  try {
    const daemon = await startDaemon(
      join(binaries.directory, 'postgres'),
      ['-D', join(place.root, 'data'), ...serverOptions(settings, socketDirectory)],
      {
        cwd: place.root,
        env: serverEnvironment,
        output: output.fd,
        ...(place.user && { user: place.user }),
      },
    );
    let ended = false;
    void daemon.exited.then(() => {
      ended = true;
    });
    const started = Date.now();
    for (let rounds = 1; !ended; rounds += 1) {
      const postmaster = { pid: daemon.pid, port, socketDirectory };
      if ((await askServer(postmaster)) === 'ready') return postmaster;
      if (rounds % 500 === 0) {
        log.info({ seconds: Math.round((Date.now() - started) / 1000) }, 'the database is recovering');
      }
      await pause(20);
    }
    return await lastMessages(place, logFile);
  } finally {
    await output.close();
  }
}

function serverOptions(settings: ServerSettings, socketDirectory: string): string[] {
  const values: Record<string, string> = {
    listen_addresses: '',
    unix_socket_directories: socketDirectory,
    unix_socket_permissions: '0700',
    port: String(port),
    max_connections: '100',
    shared_buffers: '64MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // One file a weekday, written over a week later: the log is bounded.
    logging_collector: 'on',
    log_directory: join(settings.place.root, 'log'),
    log_filename: 'postgres-%a.log',
    log_truncate_on_rotation: 'on',
    log_rotation_age: '1d',
    log_rotation_size: '0',
    cluster_name: databaseName,
    ...(settings.durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/**
 * Beside the cluster where the path is short enough; else a new private directory in the system's
 * place for temporary files. Clients find it through postmaster.pid.
 */
async function chooseSocketDirectory(place: ClusterPlace): Promise<string> {
  const beside = join(place.root, 'run');
  if (Buffer.byteLength(join(beside, `.s.PGSQL.${port}`)) <= socketPathLimit) {
    await ownDirectory(beside, place.user);
    return beside;
  }
  const short = await mkdtemp(join(tmpdir(), 'ringmaster-'));
  if (place.user) await chown(short, place.user.uid, place.user.gid);
  return short;
}

/** A directory for the server's user alone. */
async function ownDirectory(path: string, user: UserIds | undefined): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  if (user) await chown(path, user.uid, user.gid);
}

/** The end of what the server wrote this time: before its own log file is open, and after. */
async function lastMessages(place: ClusterPlace, startLog: string): Promise<string> {
  const day = new Intl.DateTimeFormat('en-US', { weekday: 'short', timeZone: 'UTC' }).format(new Date());
  const files = [startLog, join(place.root, 'log', `postgres-${day}.log`)];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return texts.map((text) => text.trim().split('\n').slice(-10).join('\n')).join('\n');
}

function failed(what: string, output: string, where: string): OperatorError {
  return new OperatorError({
    code: 'embedded-database-failed',
    message: `The built-in database ${what}: ${output.trim() || 'it said nothing'}`,
    hint: `See ${where}. The disk may be full, or the directory damaged; a server of your own can be used through database.url.`,
    exitStatus: 3,
  });
}

function otherVersion(data: string, version: string, binaries: Binaries): OperatorError {
  return new OperatorError({
    code: 'embedded-database-version',
    message: `The database in ${data} was made by PostgreSQL ${version}, but the programs in ${binaries.directory} are version ${binaries.version}.`,
    hint: `Set database.binaries to the directory of PostgreSQL ${version}'s programs, or move the data with pg_dump.`,
    exitStatus: 3,
  });
}
