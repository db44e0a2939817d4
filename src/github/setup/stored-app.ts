/**
 * The App that was made on the set-up page: its credentials, in a file that only this user can read.
 * Credentials of the environment or the configuration file count before it.
 */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { OperatorError } from '../../basics/index.ts';
import type { GitHubSettings } from '../app.ts';
import { missingGitHubSettings } from '../app.ts';

const storedApp = z.object({
  appId: z.string(),
  privateKey: z.string(),
  webhookSecret: z.string(),
  host: z.string().exactOptional(),
  protocol: z.enum(['http', 'https']),
  name: z.string(),
  /** The App's page, from which it is installed. */
  page: z.string(),
});
export type StoredApp = z.infer<typeof storedApp>;

const fileName = 'github-app.json';

/** Writes all of it or nothing; readable by this user alone from its first byte. */
export async function storeApp(dataDir: string, app: StoredApp): Promise<void> {
  const file = join(dataDir, fileName);
  const temporary = `${file}.new`;
  await rm(temporary, { force: true });
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(app, undefined, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}

export async function readStoredApp(dataDir: string): Promise<StoredApp | undefined> {
  const file = join(dataDir, fileName);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
      return undefined;
    }
    throw new OperatorError({
      code: 'stored-app-unreadable',
      message: `The credentials of the GitHub App in ${file} cannot be read.`,
      hint: 'The file must be readable by the user that runs the server. Without it, the App can be set up anew.',
      exitStatus: 3,
      cause: error,
    });
  }
  const parsed = storedApp.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new OperatorError({
    code: 'stored-app-damaged',
    message: `${file} does not hold the credentials of a GitHub App.`,
    hint: 'Remove it to set up the App anew, or bring it back from a backup.',
    exitStatus: 3,
  });
}

/** The settings as they are, or, where they name no App at all, with the one that was set up here. */
export async function withStoredApp<T extends GitHubSettings>(settings: T, dataDir: string): Promise<T> {
  if (settings.appId !== undefined || settings.privateKey !== undefined) return settings;
  if (missingGitHubSettings(settings).length === 0) return settings;
  const stored = await readStoredApp(dataDir);
  if (!stored) return settings;
  const { appId, privateKey, webhookSecret, host, protocol } = stored;
  return { ...settings, appId, privateKey, webhookSecret, protocol, ...(host === undefined ? {} : { host }) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
