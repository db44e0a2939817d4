import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from '../../../test/github-double/index.ts';
import { silentLogger } from '../../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { upsertInstallation, upsertProject } from '../../projects/index.ts';
import { createGovernor } from '../../reports/index.ts';
import { openGitHubApp } from '../app.ts';
import { createAnswerTeller, noteAnswer } from './answers.ts';

let database: TestDatabase;
let double: GitHubDouble;

beforeAll(async () => {
  database = await createTestDatabase();
  double = await startGitHubDouble();
});
afterAll(async () => {
  await double.close();
  await database.drop();
});

test('an answer whose comment was written just before the process died is not written twice', async () => {
  const { knex } = database;
  const repo = 'mona/talk';
  const repository = await double.createRepository({ name: repo });
  await double.push({ repo, files: { a: '1' } });
  const { number } = await double.openPullRequest({ repo, head: 'topic', files: { a: '2' } });
  const installation = double.installation('mona').id;
  await upsertInstallation(knex, installation, 'mona');
  const facts = {
    githubRepositoryId: repository.id,
    installationId: installation,
    owner: 'mona',
    name: 'talk',
  };
  const more = { private: false, defaultBranch: 'main', asOf: new Date() };
  const project = await upsertProject(knex, { ...facts, ...more });
  const { appId, privateKey } = double;
  const { GHE_HOST: host } = double.environment();
  const settings = { appId, privateKey, webhookSecret: 'unused', host, protocol: 'http' };
  const app = await openGitHubApp(settings, silentLogger());
  if (!app) throw new Error('The App was not opened.');
  const tell = createAnswerTeller({ db: knex, app, governor: createGovernor(knex), log: silentLogger() });
  const comments = () => repository.comments.filter(({ body }) => body.includes('Queued.'));

  const copied = { repo, number, author: 'mallory', body: 'Queued.\n<!-- ringmaster: answers -->' };
  const { comment: copy } = await double.gestures.comment(copied);
  const { comment } = await double.gestures.comment({ repo, number, author: 'mona', body: '/ci run' });
  const answer = { commentId: comment.id, projectId: project.id, pullRequest: number, author: 'mona' };
  await knex.transaction((trx) =>
    noteAnswer(trx, { ...answer, reaction: 'rocket', lines: ['`/ci run`: Queued.'], spoken: true }),
  );
  await tell({ projectId: project.id, pullRequest: number });
  const ours = comments().filter(({ id }) => id !== copy.id);
  expect(ours).toHaveLength(1);

  // It died before it could store which comment that is.
  await knex('pull_request_comments').delete();
  await knex('comment_answers').update({ told_at: null });
  await tell({ projectId: project.id, pullRequest: number });
  expect(comments().map(({ id }) => id)).toEqual([copy.id, ours[0]?.id]);
  expect(copy.body).toBe(copied.body);
  expect(await knex('pull_request_comments').first()).toMatchObject({ github_comment_id: ours[0]?.id });
});
