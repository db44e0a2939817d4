/**
 * Where the cluster lives and who runs it.
 *
 * PostgreSQL refuses to run as root. Started by root it runs as: the owner of an existing cluster;
 * else the owner of the data directory, when that is not root; else `postgres`; else `nobody`.
 * That user must be able to reach the cluster:
 * - A data directory of root's own is opened for passing through (mode g+x for that user's group).
 * - Where directories above it are closed, as below /root, their modes are not ours to change.
 *   The cluster then lives in /var/lib/ringmaster, and `<data-dir>/postgres` is a symlink to it.
 */
import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir, realpath, stat, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Logger, makeFolder, OperatorError, runProcess, type UserIds } from '../../basics/index.ts';

export interface ClusterPlace {
  /** Holds everything of the server: `data`, `log`, `run`. Real path. */
  readonly root: string;
  /** Who runs the server, when it is not the current user. */
  readonly user?: UserIds;
}

/** For clusters that cannot live in their data directory. */
const systemPlace = '/var/lib/ringmaster';

/** Chooses and creates the place for the cluster of a data directory. */
export async function choosePlace(
  dataDir: string,
  log: Logger,
  sharedPlace = systemPlace,
): Promise<ClusterPlace> {
  await makeFolder(dataDir, 0o750);
  const wanted = join(dataDir, 'postgres');
  const existing = await ownerOf(join(wanted, 'data'));
  const self = process.getuid?.();
  if (self !== 0) {
    if (existing && existing.uid !== self) throw foreignCluster(wanted, existing.uid);
    await mkdir(wanted, { recursive: true, mode: 0o700 });
    return { root: await realpath(wanted) };
  }
  const user = await chooseUser(existing, await ownerOf(dataDir));
  // A dangling symlink is an error to be seen (the disk behind it is not mounted), so no mkdir.
  if (!(await exists(wanted))) await createRoot(dataDir, sharedPlace, user, log);
  const root = await realpath(wanted);
  await chown(root, user.uid, user.gid);
  await chmod(root, 0o700);
  // A cluster of root's, for example from a restored backup, can run for nobody.
  if (existing?.uid === 0) await giveAway(root, user, log);
  if (!(await reaches(root, user))) await openDirectory(dataDir, user);
  if (!(await reaches(root, user))) throw unreachableCluster(root, user);
  return { root, user };
}

async function createRoot(dataDir: string, sharedPlace: string, user: UserIds, log: Logger): Promise<void> {
  const wanted = join(dataDir, 'postgres');
  if (!(await reaches(dataDir, user))) await openDirectory(dataDir, user);
  if (await reaches(dataDir, user)) {
    await mkdir(wanted, { mode: 0o700 });
    return;
  }
  const real = await realpath(dataDir);
  const hash = createHash('sha256').update(real).digest('hex').slice(0, 8);
  const elsewhere = join(sharedPlace, `postgres-${basename(real)}-${hash}`);
  await makeFolder(sharedPlace, 0o755);
  await makeFolder(elsewhere, 0o700);
  await symlink(elsewhere, wanted);
  log.warn(
    { dataDir, database: elsewhere },
    `the database cannot live below ${dataDir}, whose parents only root may enter; it lives in ${elsewhere}`,
  );
}

async function giveAway(directory: string, user: UserIds, log: Logger): Promise<void> {
  log.warn({ directory, ...user }, 'the database belonged to root; giving it to the user that runs it');
  await runProcess('chown', ['-R', '-h', `${user.uid}:${user.gid}`, directory], { env: systemPath });
}

/** Lets a user pass through a directory of root's, without letting it list or read. */
async function openDirectory(directory: string, user: UserIds): Promise<void> {
  const { uid, gid, mode } = await stat(directory);
  if (uid !== 0) return;
  if (gid === 0) {
    await chown(directory, 0, user.gid);
    await chmod(directory, ((mode & 0o7707) | 0o010) & 0o7777);
  } else {
    await chmod(directory, (mode & 0o7777) | 0o001);
  }
}

async function chooseUser(
  existing: UserIds | undefined,
  dataDirOwner: UserIds | undefined,
): Promise<UserIds> {
  if (existing && existing.uid !== 0) return existing;
  // initdb wants a user that has a name.
  if (dataDirOwner && dataDirOwner.uid !== 0 && (await idsOf(String(dataDirOwner.uid)))) {
    return dataDirOwner;
  }
  const user = (await idsOf('postgres')) ?? (await idsOf('nobody'));
  if (user) return user;
  throw new OperatorError({
    code: 'postgres-user-missing',
    message: 'PostgreSQL does not run as root, and there is neither a user postgres nor nobody.',
    hint: 'Start ringmaster as another user, or create a system user named postgres.',
    exitStatus: 3,
  });
}

async function idsOf(name: string): Promise<UserIds | undefined> {
  const ids = await Promise.all(
    ['-u', '-g'].map((option) => runProcess('id', [option, name], { env: systemPath })),
  );
  const [uid, gid] = ids.map((result) => (result.exitCode === 0 ? Number(result.stdout) : Number.NaN));
  return uid !== undefined && gid !== undefined && uid > 0 && gid >= 0 ? { uid, gid } : undefined;
}

const systemPath = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin' };

/** Whether a user can enter a directory: asked of the kernel, which knows ACLs and mounts. */
async function reaches(directory: string, user: UserIds): Promise<boolean> {
  const result = await runProcess('/bin/sh', ['-c', 'cd -P "$1"', 'sh', directory], {
    cwd: '/',
    env: systemPath,
    user,
  });
  return result.exitCode === 0;
}

async function ownerOf(path: string): Promise<UserIds | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && { uid: found.uid, gid: found.gid };
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

function foreignCluster(path: string, uid: number): OperatorError {
  return new OperatorError({
    code: 'database-of-another-user',
    message: `The database in ${path} belongs to the user with id ${uid}.`,
    hint: `Start ringmaster as that user or as root, or give it another data directory (--data-dir).`,
    exitStatus: 3,
  });
}

function unreachableCluster(path: string, user: UserIds): OperatorError {
  return new OperatorError({
    code: 'database-unreachable-for-its-user',
    message: `The database in ${path} is run by the user with id ${user.uid}, who cannot enter it.`,
    hint: `Let that user pass through the directories above it (chmod o+x), or use another --data-dir.`,
    exitStatus: 3,
  });
}
