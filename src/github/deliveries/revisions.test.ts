import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { findProjectByName } from '../../projects/index.ts';
import { newId, pullRequestTo, pushTo, repositoryOf, testDeliveries } from './test-deliveries.ts';

let database: TestDatabase;
const { submissions, process, again } = testDeliveries(() => database.knex);

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

describe('a push', () => {
  test('to a branch of an unknown repository makes the project and a trusted revision', async () => {
    const repository = repositoryOf('ada');
    const installation = newId();
    const payload = pushTo(repository, installation);
    const { outcome } = await process('push', payload);
    expect(outcome).toMatch(/^Queued evaluation \d+: ada\/rockets, branch trunk, commit /);
    expect(await findProjectByName(database.knex, 'ADA', 'Rockets')).toMatchObject({
      githubRepositoryId: repository.id,
      installationId: installation,
      defaultBranch: 'trunk',
    });
    expect(submissions.at(-1)).toMatchObject({
      sha: payload.after,
      trust: { kind: 'trusted' },
      title: 'Fly higher',
      author: 'Ada',
      source: { kind: 'branch', name: 'trunk', gitRef: 'refs/heads/trunk' },
    });
  });

  test.each([
    ['a tag', { ref: 'refs/tags/v1' }, "the tag v1 matches no pattern of 'tags'"],
    ['something else', { ref: 'refs/notes/commits' }, 'is not a branch or tag'],
    ['a deleted branch', { deleted: true, after: '0'.repeat(40) }, 'was deleted'],
    ['a ref that git would not have', { ref: 'refs/heads/a..b' }, 'is not a branch or tag'],
  ])('of %s is ignored, and says so', async (_, more, words) => {
    const before = submissions.length;
    const { outcome } = await process('push', pushTo(repositoryOf('bob'), newId(), more));
    expect(outcome).toContain(words);
    expect(submissions.length).toBe(before);
  });

  test('done twice, and then as a pull request, is one evaluation', async () => {
    const repository = repositoryOf('carol');
    const installation = newId();
    const payload = pushTo(repository, installation);
    const pull = pullRequestTo(repository, installation, { id: repository.id, full_name: 'carol/rockets' });
    pull.pull_request.head.sha = payload.after;
    const first = await process('push', payload);
    expect(await again(first.id)).toEqual(first);
    await process('push', payload);
    expect((await process('pull_request', pull)).outcome).toMatch(
      /has it already: carol\/rockets, pull request 7/,
    );
    const evaluations = await database
      .knex('evaluations')
      .join('revisions', 'revisions.id', 'evaluations.revision_id')
      .where('revisions.sha', payload.after);
    expect(evaluations).toHaveLength(1);
  });

  test('with a payload that is not GitHub’s is noted as not understood and not tried again', async () => {
    const repository = { ...repositoryOf('dave'), full_name: 'dave/../../etc' };
    const done = await process('push', pushTo(repository, newId()));
    expect(done).toMatchObject({ thrown: undefined, processed: false, outcome: null });
    expect(done.error).toContain('full_name');
  });
});

describe('a pull request', () => {
  const lastTrust = () => submissions.at(-1)?.trust;

  test('from the same repository is trusted', async () => {
    const repository = repositoryOf('erin');
    const head = { id: repository.id, full_name: 'erin/rockets' };
    await process('pull_request', pullRequestTo(repository, newId(), head));
    expect(lastTrust()).toEqual({ kind: 'trusted' });
    expect(submissions.at(-1)).toMatchObject({
      title: 'More thrust',
      author: 'mallory',
      source: { kind: 'pull-request', name: '7', gitRef: 'refs/pull/7/head', baseBranch: 'trunk' },
    });
  });

  test('from a fork waits for approval and names the fork, also one of the same name', async () => {
    const repository = repositoryOf('frank');
    const fork = { id: newId(), full_name: 'frank/rockets' };
    const { outcome } = await process('pull_request', pullRequestTo(repository, newId(), fork));
    expect(lastTrust()).toEqual({
      kind: 'needs-approval',
      reason: 'The pull request comes from the fork frank/rockets.',
    });
    expect(outcome).toMatch(/^Waits for approval: frank\/rockets, pull request 7/);
  });

  test('from a fork that is gone waits for approval', async () => {
    await process('pull_request', pullRequestTo(repositoryOf('grace'), newId(), null));
    expect(lastTrust()).toEqual({
      kind: 'needs-approval',
      reason: 'The pull request comes from a fork that has been deleted.',
    });
  });

  test.each(['opened', 'synchronize', 'reopened', 'ready_for_review'])(
    'that is %s brings its head',
    async (action) => {
      const before = submissions.length;
      await process('pull_request', pullRequestTo(repositoryOf('heidi'), newId(), null, action));
      expect(submissions.length).toBe(before + 1);
    },
  );

  test('that is closed or labelled brings nothing', async () => {
    const before = submissions.length;
    for (const action of ['closed', 'labeled', 'edited']) {
      const { outcome } = await process(
        'pull_request',
        pullRequestTo(repositoryOf('ivan'), newId(), null, action),
      );
      expect(outcome).toContain(`was ${action}`);
    }
    expect(submissions.length).toBe(before);
  });
});
