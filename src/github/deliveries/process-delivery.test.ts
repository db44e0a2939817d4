import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { silentLogger } from '../../basics/index.ts';
import { createSubmitRevision, type RevisionSubmission } from '../../evaluations/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { findInstallation, findProjectByName, findProjectByRepository } from '../../projects/index.ts';
import { createDeliveryProcessor, handledEvents } from './process-delivery.ts';

let database: TestDatabase;
const submissions: RevisionSubmission[] = [];
const submit = createSubmitRevision(async () => {});

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const anything = z.record(z.string(), z.unknown());
const recorded = z
  .array(z.object({ name: z.string(), examples: z.array(anything) }))
  .parse(
    JSON.parse(
      readFileSync(
        createRequire(import.meta.url).resolve('@octokit/webhooks-examples/api.github.com/index.json'),
        'utf8',
      ),
    ),
  );

/** Stores a delivery and works it off once; an error is what the task queue would see. */
async function process(event: string, payload: Record<string, unknown>, receivedAt = new Date()) {
  const id = crypto.randomUUID();
  await database
    .knex('deliveries')
    .insert({ id, event, payload: JSON.stringify(payload), received_at: receivedAt });
  return again(id);
}

async function again(id: string) {
  const work = createDeliveryProcessor({
    db: database.knex,
    log: silentLogger(),
    submit: (trx, submission) => {
      submissions.push(submission);
      return submit(trx, submission);
    },
  });
  const thrown = await work({ id }).then(
    () => undefined,
    (error: unknown) => error,
  );
  const row: { outcome: string | null; error: string | null; processed_at: Date | null } = await database
    .knex('deliveries')
    .where({ id })
    .first();
  return { id, thrown, outcome: row.outcome, error: row.error, processed: row.processed_at !== null };
}

let nextId = 9_000_000;
const newId = () => ++nextId;
const sha = () => crypto.randomUUID().replaceAll('-', '').padEnd(40, '0');

function repositoryOf(owner: string, name = 'rockets', id = newId()) {
  return { id, full_name: `${owner}/${name}`, private: false, default_branch: 'trunk' };
}
type RepositoryFacts = ReturnType<typeof repositoryOf>;

function pushTo(repository: RepositoryFacts, installation: number, more: Record<string, unknown> = {}) {
  return {
    ref: 'refs/heads/trunk',
    after: sha(),
    deleted: false,
    repository,
    installation: { id: installation },
    head_commit: { message: 'Fly higher\n\nMuch.', author: { name: 'Ada' } },
    ...more,
  };
}

function pullRequestTo(
  repository: RepositoryFacts,
  installation: number,
  headRepo: unknown,
  action = 'opened',
) {
  return {
    action,
    number: 7,
    repository,
    installation: { id: installation },
    pull_request: {
      title: 'More thrust',
      user: { login: 'mallory' },
      head: { sha: sha(), repo: headRepo },
      base: { ref: 'trunk', repo: { id: repository.id } },
    },
  };
}

describe('recorded deliveries of GitHub', () => {
  const handled = recorded.filter(({ name }) => handledEvents.has(name));
  const cases = handled.flatMap(({ name, examples }) =>
    examples.map((payload, index) => ({ name, index, action: String(payload.action ?? ''), payload })),
  );

  test('are there for every event that is handled', () => {
    expect(handled.map(({ name }) => name).sort()).toEqual([...handledEvents].sort());
    expect(cases.length).toBeGreaterThan(50);
  });

  /** The same message about a repository and an installation of their own: the recordings share theirs. */
  function renumbered(payload: Record<string, unknown>, installed: boolean): Record<string, unknown> {
    const about = z.object({ repository: z.object({ id: z.number() }) }).safeParse(payload);
    const text = JSON.stringify(payload);
    const copy = anything.parse(
      JSON.parse(
        about.success ? text.replaceAll(`"id":${about.data.repository.id},`, `"id":${newId()},`) : text,
      ),
    );
    const installation = anything.optional().parse(copy.installation);
    if (!installation && !installed) return copy;
    return { ...copy, installation: { ...installation, id: newId() } };
  }

  test.each(cases)('$name $action ($index) is understood and processed', async ({ name, payload }) => {
    for (const installed of [false, true]) {
      const done = await process(name, renumbered(payload, installed));
      expect(done).toMatchObject({ thrown: undefined, error: null, processed: true });
      expect(done.outcome).not.toBe('');
    }
  });
});

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
    ['a tag', { ref: 'refs/tags/v1' }, 'is not a branch'],
    ['a deleted branch', { deleted: true, after: '0'.repeat(40) }, 'was deleted'],
    ['a ref that git would not have', { ref: 'refs/heads/a..b' }, 'is not a branch'],
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

describe('an installation', () => {
  const installed = (id: number, account: string, repositories: RepositoryFacts[], action = 'created') => ({
    action,
    installation: { id, account: { login: account } },
    repositories,
  });

  test('makes its repositories projects, whose default branch the next push tells', async () => {
    const repository = repositoryOf('judy');
    const id = newId();
    await process('installation', installed(id, 'judy', [repository]));
    expect(await findProjectByName(database.knex, 'judy', 'rockets')).toMatchObject({
      defaultBranch: 'HEAD',
    });
    await process('push', pushTo(repository, id));
    expect(await findProjectByName(database.knex, 'judy', 'rockets')).toMatchObject({
      defaultBranch: 'trunk',
    });
  });

  test('that is deleted puts its projects to rest, and old news does not wake them', async () => {
    const repository = repositoryOf('kate');
    const id = newId();
    await process('installation', installed(id, 'kate', [repository]));
    expect((await process('installation', installed(id, 'kate', [], 'deleted'))).outcome).toContain(
      '1 repository at rest',
    );
    await process('installation', installed(id, 'kate', [repository]));
    expect((await process('push', pushTo(repository, id))).outcome).toContain('uninstalled from kate');
    expect(await findProjectByRepository(database.knex, repository.id)).toMatchObject({ enabled: false });
  });

  test('made anew after that takes the projects over', async () => {
    const repository = repositoryOf('lena');
    const [first, second] = [newId(), newId()];
    await process('installation', installed(first, 'lena', [repository]));
    await process('installation', installed(first, 'lena', [], 'deleted'));
    await process('installation', installed(second, 'lena', [repository]));
    expect(await findProjectByRepository(database.knex, repository.id)).toMatchObject({
      enabled: true,
      installationId: second,
    });
  });

  test('remembers whether it is suspended', async () => {
    const id = newId();
    await process('installation', installed(id, 'mike', [], 'suspend'));
    expect(await findInstallation(database.knex, id)).toMatchObject({
      suspended: true,
      accountLogin: 'mike',
    });
    await process('installation', installed(id, 'mike', [], 'unsuspend'));
    expect(await findInstallation(database.knex, id)).toMatchObject({ suspended: false });
  });

  test('named by a push to a repository of another one fails until the news of the move comes', async () => {
    const repository = repositoryOf('nina');
    const [first, second] = [newId(), newId()];
    await process('installation', installed(first, 'nina', [repository]));
    const early = await process('push', pushTo(repository, second));
    expect(early.thrown).toBeInstanceOf(Error);
    expect(early.error).toContain(`belongs to installation ${first}`);
    expect(early.processed).toBe(false);
    await process('installation_repositories', {
      action: 'added',
      installation: { id: second, account: { login: 'nina' } },
      repositories_added: [repository],
      repositories_removed: [],
    });
    expect(await again(early.id)).toMatchObject({ error: null, processed: true });
  });

  test('loses repositories that are taken from it, and gets them back', async () => {
    const repository = repositoryOf('olga');
    const id = newId();
    const change = (added: unknown[], removed: unknown[]) => ({
      action: added.length > 0 ? 'added' : 'removed',
      installation: { id, account: { login: 'olga' } },
      repositories_added: added,
      repositories_removed: removed,
    });
    const enabled = async () => (await findProjectByRepository(database.knex, repository.id))?.enabled;
    await process('installation_repositories', change([repository], []));
    // GitHub blanks what may not be seen any more.
    await process('installation_repositories', change([], [{ id: repository.id, name: '', full_name: '' }]));
    expect(await enabled()).toBe(false);
    const before = submissions.length;
    expect((await process('push', pushTo(repository, id))).outcome).toContain('is disabled');
    expect(submissions.length).toBe(before);
    await process('installation_repositories', change([repository], []));
    expect(await enabled()).toBe(true);
  });
});

describe('a repository', () => {
  test('keeps its project through a rename, and older news does not bring the old name back', async () => {
    const repository = repositoryOf('paul');
    const id = newId();
    const earlier = new Date(Date.now() - 60_000);
    await process('push', pushTo(repository, id), earlier);
    const project = await findProjectByName(database.knex, 'paul', 'rockets');
    await process('repository', {
      action: 'renamed',
      repository: { ...repository, full_name: 'paul/spaceships' },
      installation: { id },
    });
    await process('push', pushTo(repository, id), earlier);
    expect(await findProjectByName(database.knex, 'paul', 'spaceships')).toEqual({
      ...project,
      name: 'spaceships',
    });
    expect(await findProjectByName(database.knex, 'paul', 'rockets')).toBeUndefined();
  });

  test('moves to another installation when it is transferred', async () => {
    const repository = repositoryOf('quentin');
    const [first, second] = [newId(), newId()];
    await process('push', pushTo(repository, first));
    await process('repository', {
      action: 'transferred',
      repository: { ...repository, full_name: 'rachel/rockets' },
      installation: { id: second },
    });
    expect(await findProjectByRepository(database.knex, repository.id)).toMatchObject({
      owner: 'rachel',
      installationId: second,
    });
  });

  test.each([
    ['privatized', { private: true }],
    ['edited', { default_branch: 'develop' }],
  ])('that is %s changes its project', async (action, change) => {
    const repository = repositoryOf('sybil');
    const id = newId();
    await process('push', pushTo(repository, id));
    await process('repository', { action, repository: { ...repository, ...change }, installation: { id } });
    expect(await findProjectByRepository(database.knex, repository.id)).toMatchObject(
      action === 'edited' ? { defaultBranch: 'develop' } : { private: true },
    );
  });

  test('that is deleted rests', async () => {
    const repository = repositoryOf('trent');
    const id = newId();
    await process('push', pushTo(repository, id));
    await process('repository', { action: 'deleted', repository, installation: { id } });
    expect(await findProjectByRepository(database.knex, repository.id)).toMatchObject({ enabled: false });
  });
});
