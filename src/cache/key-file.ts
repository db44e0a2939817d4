/** The secret key of this server's cache, made when it is needed first. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, messageOf, OperatorError } from '../basics/index.ts';
import { generateSecretKey, parseSecretKey, type SigningKey } from './signing.ts';

export interface CacheKeyOptions {
  readonly dataDir: string;
  /** A file with a key that was made elsewhere; undefined: one of this server's own. */
  readonly file: string | undefined;
  /** Of a key that is to be made. */
  readonly name: string;
}

/** Where a server keeps the key that it made itself. */
export function cacheKeyFile(dataDir: string): string {
  return join(dataDir, 'cache', 'secret-key');
}

/** The name of a key unless configured: the host that people know, and a number for the ones to come. */
export function defaultKeyName(publicUrl: string | undefined): string {
  const host = publicUrl === undefined ? 'ringmaster' : new URL(publicUrl).hostname;
  return `${host.replaceAll(/[^\w.-]/g, '-')}-1`;
}

/** Reads the key, and makes it when this server is to have one of its own and has none yet. */
export async function openCacheKey(options: CacheKeyOptions): Promise<SigningKey> {
  const file = options.file ?? cacheKeyFile(options.dataDir);
  const present = await readKey(file);
  if (present !== undefined) return present;
  if (options.file !== undefined) {
    throw new OperatorError({
      code: 'signing-key-missing',
      message: `The secret key of the cache, ${file}, does not exist.`,
      hint: 'Correct cache.secret_key_file, or remove it: a key is then made by itself.',
      exitStatus: 3,
    });
  }
  await makeFolder(join(options.dataDir, 'cache'), 0o700);
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    await writeFile(draft, `${generateSecretKey(options.name)}\n`, { mode: 0o600, flag: 'wx' });
    // Another process may make one at the same moment: the first one stays.
    await link(draft, file).catch(ignoreExisting);
  } finally {
    await rm(draft, { force: true });
  }
  const made = await readKey(file);
  if (made === undefined) throw new Error(`${file} vanished after it was made`);
  return made;
}

/** The key, unless this server is to have one of its own and was never started. */
export function findCacheKey(options: Omit<CacheKeyOptions, 'name'>): Promise<SigningKey | undefined> {
  return readKey(options.file ?? cacheKeyFile(options.dataDir));
}

async function readKey(file: string): Promise<SigningKey | undefined> {
  try {
    return parseSecretKey(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new OperatorError({
      code: 'signing-key-unreadable',
      message: `The secret key of the cache, ${file}, cannot be read: ${messageOf(error)}`,
      exitStatus: 3,
      cause: error,
    });
  }
}

function ignoreExisting(error: unknown): void {
  if (codeOf(error) !== 'EEXIST') throw error;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
