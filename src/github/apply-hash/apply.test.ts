/** What becomes of a pressed button on GitHub, told by a strict double. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { git } from '../../../test/github-double/git.ts';
import { type GitHubDouble, startGitHubDouble } from '../../../test/github-double/index.ts';
import { needRepository } from '../../../test/github-double/world.ts';
import { silentLogger } from '../../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { createCheckouts } from '../../projects/index.ts';
import { createGovernor } from '../../reports/index.ts';
import { type GitHubApp, openGitHubApp } from '../app.ts';
import { createGitAccess } from '../git-credentials.ts';
import { createQuestions } from '../questions.ts';
import { createHashApplier } from './apply.ts';
import { type Change, commitChange } from './write.ts';

let double: GitHubDouble;
let database: TestDatabase;
let app: GitHubApp;
let dataDir: string;
let apply: ReturnType<typeof createHashApplier>;

beforeAll(async () => {
  double = await startGitHubDouble();
  database = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'ringmaster-apply-'));
  const log = silentLogger();
  const opened = await openGitHubApp(
    {
      appId: double.appId,
      privateKey: double.privateKey,
      webhookSecret: 'unused',
      host: double.url.replace('http://', ''),
      protocol: 'http',
    },
    log,
  );
  if (!opened) throw new Error('The App was not opened.');
  app = opened;
  const environment = { PATH: process.env.PATH ?? '' };
  apply = createHashApplier({
    db: database.knex,
    app,
    questions: createQuestions(app, log),
    checkouts: createCheckouts({ dataDir, openAccess: createGitAccess(app, log), environment, log }),
    governor: createGovernor(database.knex),
    onRevisionChanged: async () => {},
    log,
  });
});
afterAll(async () => {
  expect(double.journal.calls.filter((call) => call.unexpected)).toEqual([]);
  await double.close();
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
});

const sri = (text: string) => `sha256-${createHash('sha256').update(text).digest('base64')}`;
const files = { 'ci.nix': `{\n  hash = "${sri('old')}";\n}\n` };
const corrected = `{\n  hash = "${sri('new')}";\n}`;

/** A repository whose owner lets the App commit. */
async function repository(owner: string) {
  const repo = `${owner}/app`;
  const { id } = await double.createRepository({ name: repo });
  const installation = double.installation(owner);
  installation.permissions = { ...installation.permissions, contents: 'write' };
  await double.push({ repo, files: { 'README.md': 'hello' } });
  await database.knex('installations').insert({ id: installation.id, account_login: owner });
  const [project]: unknown[] = await database
    .knex('projects')
    .insert({
      github_repository_id: id,
      installation_id: installation.id,
      owner,
      name: 'app',
      default_branch: 'main',
      private: false,
    })
    .returning('id');
  return { repo, installation, project: idRow.parse(project).id };
}

const idRow = z.object({ id: z.number() });

interface Source {
  readonly kind: 'branch' | 'pull-request';
  readonly name: string;
  readonly git_ref: string;
}

const branch = (name: string): Source => ({ kind: 'branch', name, git_ref: `refs/heads/${name}` });
const pull = (number: number): Source => ({
  kind: 'pull-request',
  name: String(number),
  git_ref: `refs/pull/${number}/head`,
});

/** Somebody has pressed the button on a commit that these brought. */
async function press(project: number, sha: string, ...sources: readonly Source[]): Promise<number> {
  const { knex } = database;
  const [revision]: unknown[] = await knex('revisions')
    .insert({ project_id: project, sha, trust: 'trusted' })
    .returning('id');
  const revision_id = idRow.parse(revision).id;
  await knex('revision_sources').insert(sources.map((source) => ({ revision_id, ...source })));
  const [application]: unknown[] = await knex('hash_applications')
    .insert({ revision_id, specified: sri('old'), got: sri('new'), name: 'source', asked_by: 'ada' })
    .returning('id');
  return idRow.parse(application).id;
}

/** What came of it. */
async function outcomeOf(id: number, attempt = 1): Promise<{ applied: boolean; outcome: string | null }> {
  await apply({ id }, { attempt, maxAttempts: 3 });
  return database.knex('hash_applications').select('applied', 'outcome').where({ id }).first();
}

const show = (repo: string, rev: string) => git(needRepository(double.world, repo).directory, ['show', rev]);

test('the branch gets one commit more, even when GitHub’s answer to it was lost', async () => {
  const { repo, project } = await repository('ann');
  const { sha } = await double.push({ repo, branch: 'update', files });
  // The default branch does not count beside another one.
  await git(needRepository(double.world, repo).directory, ['update-ref', 'refs/heads/main', sha]);
  const id = await press(project, sha, branch('update'), branch('main'));
  double.faults.inject({ kind: 'drop-after', method: 'POST', path: '/graphql', times: 1 });
  await expect(outcomeOf(id)).rejects.toThrow();
  expect(await outcomeOf(id, 2)).toMatchObject({ applied: true });
  expect(await show(repo, 'update:ci.nix')).toBe(corrected);
  expect(await show(repo, 'main:ci.nix')).not.toBe(corrected);
  const { directory } = needRepository(double.world, repo);
  expect(await git(directory, ['rev-list', '--count', `${sha}..update`])).toBe('1');
  expect(await git(directory, ['log', '-1', '--format=%s', 'update'])).toBe('Update the hash of source');
});

test('a branch that has moved on, is protected or cannot be written is left as it is, and that is told', async () => {
  const { repo, installation, project } = await repository('bea');
  const { sha } = await double.push({ repo, branch: 'moved', files });
  const id = await press(project, sha, branch('moved'));
  await double.push({ repo, branch: 'moved', files: { other: 'x' } });
  expect(await outcomeOf(id)).toEqual({
    applied: false,
    outcome: 'No branch is at this commit any more; nothing was changed.',
  });
  const guarded = await double.push({ repo, branch: 'guarded', files, message: 'guarded' });
  needRepository(double.world, repo).protectedBranches.add('guarded');
  expect(await outcomeOf(await press(project, guarded.sha, branch('guarded')))).toMatchObject({
    outcome: expect.stringContaining('Changes must be made through a pull request'),
  });
  const open = await double.push({ repo, branch: 'open', files, message: 'open' });
  installation.permissions = { ...installation.permissions, contents: 'read' };
  expect(await outcomeOf(await press(project, open.sha, branch('open')))).toMatchObject({
    outcome: expect.stringContaining("grant it the permission 'contents: write'"),
  });
  expect(await show(repo, 'guarded:ci.nix')).not.toBe(corrected);
  expect(await show(repo, 'open:ci.nix')).not.toBe(corrected);
});

test('a push at the last moment wins, and nothing is written with a token that may only read', async () => {
  const { repo, installation } = await repository('emil');
  const { id: repositoryId } = needRepository(double.world, repo);
  const { sha } = await double.push({ repo, branch: 'raced', files });
  const { sha: head } = await double.push({ repo, branch: 'raced', files: { other: 'x' } });
  const change = (at: string): Change => ({
    place: { installationId: installation.id, repositoryId, owner: 'emil', name: 'app' },
    sha: at,
    file: { kind: 'one', path: 'ci.nix', line: 2, newLine: '', newText: corrected, executable: false },
    message: { headline: 'Update', body: '' },
    specified: sri('old'),
    got: sri('new'),
  });
  const commit = async (contents: 'read' | 'write', at: string) => {
    const { token } = await app.mintToken(installation.id, { permissions: { contents } });
    return commitChange(app.clientFor(token), change(at), 'raced');
  };
  expect(await commit('write', sha)).toEqual({
    applied: false,
    outcome: 'The branch raced has moved on; nothing was changed.',
  });
  expect(await commit('read', head)).toEqual({
    applied: false,
    outcome: 'GitHub refused the commit on raced: Resource not accessible by integration',
  });
  expect(await git(needRepository(double.world, repo).directory, ['rev-parse', 'raced'])).toBe(head);
});

test('a fork is suggested the line, or told of it where its pull request does not change it', async () => {
  const { repo, project } = await repository('cleo');
  const suggested = await double.openPullRequest({ repo, head: 'one', fork: 'fay', author: 'fay', files });
  const id = await press(project, suggested.headSha, pull(suggested.number));
  double.faults.inject({ kind: 'drop-after', method: 'POST', path: /\/pulls\/\d+\/comments$/, times: 1 });
  await expect(outcomeOf(id)).rejects.toThrow();
  expect(await outcomeOf(id, 2)).toMatchObject({ applied: true });
  const { reviewComments, comments } = needRepository(double.world, repo);
  expect(reviewComments).toMatchObject([{ path: 'ci.nix', line: 2, commitId: suggested.headSha }]);
  expect(reviewComments[0]?.body).toContain(`\`\`\`suggestion\n  hash = "${sri('new')}";\n\`\`\``);
  // Pushed to the base before, so that the diff does not show it.
  await double.push({ repo, files });
  const other = await double.openPullRequest({
    repo,
    head: 'two',
    fork: 'gus',
    author: 'gus',
    files: { other: 'x' },
  });
  expect(await outcomeOf(await press(project, other.headSha, pull(other.number)))).toMatchObject({
    applied: true,
  });
  expect(comments.map(({ number, body }) => [number, body])).toEqual([
    [other.number, expect.stringContaining(`Write \`${sri('new')}\` in place of`)],
  ]);
});

test('a hash that is written twice, or nowhere, has to be changed by hand', async () => {
  const { repo, project } = await repository('dora');
  const twice = await double.push({ repo, branch: 'twice', files: { ...files, 'more.nix': sri('old') } });
  expect(await outcomeOf(await press(project, twice.sha, branch('twice')))).toEqual({
    applied: false,
    outcome: 'The hash is written in several places (ci.nix:2, more.nix:1), so it has to be changed by hand.',
  });
  const nowhere = await double.push({ repo, branch: 'nowhere', files: { 'ci.nix': '{ }' } });
  expect(await outcomeOf(await press(project, nowhere.sha, branch('nowhere')))).toMatchObject({
    outcome: expect.stringContaining('not written in any file'),
  });
  const script = { content: files['ci.nix'], executable: true };
  const executable = await double.push({ repo, branch: 'script', files: { 'ci.nix': script } });
  expect(await outcomeOf(await press(project, executable.sha, branch('script')))).toMatchObject({
    outcome: expect.stringContaining('ci.nix is executable'),
  });
});
