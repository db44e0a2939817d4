import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from '../../test/github-double/index.ts';
import { silentLogger } from '../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { type Project, settingsFilePath, upsertInstallation, upsertProject } from '../projects/index.ts';
import { type GitHubApp, openGitHubApp } from './app.ts';
import { openPins } from './pins.ts';
import { createQuestions } from './questions.ts';

let database: TestDatabase;
let double: GitHubDouble;
let app: GitHubApp;
let reader: Project;

beforeAll(async () => {
  database = await createTestDatabase();
  double = await startGitHubDouble();
  const { appId, privateKey } = double;
  const { GHE_HOST: host } = double.environment();
  const settings = { appId, privateKey, webhookSecret: 'unused', host, protocol: 'http' };
  const opened = await openGitHubApp(settings, silentLogger());
  if (!opened) throw new Error('The App was not opened.');
  app = opened;
  reader = await newProject('acme/app');
  await newProject('acme/library', 'shared_with = ["ACME/app"]');
  await newProject('acme/all', 'shared_with = ["acme/*"]');
  await newProject('acme/secrets', 'shared_with = ["acme/apples", "other/app"]');
  await newProject('acme/silent');
  await newProject('acme/broken', 'shared_with = ["acme/app"]\nsharedwith = 1');
  await newProject('acme/open', undefined, { private: false });
  await newProject('other/library', 'shared_with = ["acme/app"]');
});
afterAll(async () => {
  await double.close();
  await database.drop();
});

async function newProject(name: string, file?: string, more: { readonly private?: boolean } = {}) {
  const repository = await double.createRepository({ name, private: true, ...more });
  await double.push({ repo: name, files: { a: '1', ...(file && { [settingsFilePath]: file }) } });
  const [owner = '', short = ''] = name.split('/');
  const { id } = double.installation(owner);
  await upsertInstallation(database.knex, id, owner);
  return upsertProject(database.knex, {
    githubRepositoryId: repository.id,
    installationId: id,
    owner,
    name: short,
    private: repository.private,
    defaultBranch: 'main',
    asOf: new Date(),
  });
}

async function open(pins: readonly string[], by = reader) {
  const log = silentLogger();
  const options = { db: database.knex, app, questions: createQuestions(app, log), log };
  const access = await openPins(options, by, pins);
  if (access.kind !== 'ready') throw new Error(access.reason);
  return access;
}

/** Whether a token reads a repository's files. */
async function reads(token: string, name: string): Promise<boolean> {
  const answer = await fetch(`${double.apiUrl}/repos/${name}/contents/a`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return answer.ok;
}

test('what its owners share is read with a token for that alone, which ends with the access', async () => {
  const pins = await open(['acme/library', 'acme/all', 'acme/open']);
  expect(pins.notices).toEqual([]);
  expect(pins.access?.repositories).toEqual(['acme/library', 'acme/all']);
  const token = pins.access?.token ?? '';
  expect(await reads(token, 'acme/library')).toBe(true);
  expect(await reads(token, 'acme/app')).toBe(false);
  expect(await reads(token, 'acme/secrets')).toBe(false);
  expect(double.world.tokens.get(token)?.permissions).toEqual({ contents: 'read', metadata: 'read' });
  // It is kept out of all logs from now on.
  expect(app.tokensInForce()).toContain(token);
  await pins.close();
  expect(await reads(token, 'acme/library')).toBe(false);
});

test.each([
  ['names others', 'acme/secrets', /'shared_with' in its .* does not name acme\/app/],
  ['has no settings', 'acme/silent', /does not name acme\/app/],
  ['has settings with mistakes', 'acme/broken', /has mistakes/],
  ['belongs to another account, even if it agrees', 'other/library', /no repository that this account/],
  ['does not exist', 'acme/nothing', /no repository that this account/],
])('a repository that %s is not read, and the reader is told', async (_, pin, words) => {
  const pins = await open([pin]);
  expect(pins.access).toBeUndefined();
  expect(pins.notices).toEqual([expect.stringMatching(words)]);
});

test('a public repository gets nothing private: everybody would see what comes of it', async () => {
  const pins = await open(['acme/library'], { ...reader, private: false });
  expect(pins.access).toBeUndefined();
  expect(pins.notices[0]).toContain('acme/app is public');
});

test('while GitHub does not answer, it is tried again later', async () => {
  const log = silentLogger();
  await double.down();
  const options = { db: database.knex, app, questions: createQuestions(app, log), log };
  expect(await openPins(options, reader, ['acme/library'])).toMatchObject({ kind: 'later' });
  await double.up();
});
