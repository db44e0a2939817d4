import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import {
  findInstallation,
  findProjectByName,
  findProjectByRepository,
  setProjectEnabled,
} from '../../projects/index.ts';
import { newId, pushTo, type RepositoryFacts, repositoryOf, testDeliveries } from './test-deliveries.ts';

let database: TestDatabase;
const { submissions, process, again } = testDeliveries(() => database.knex);

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

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

  test.each(['unsuspend', 'new_permissions_accepted'])(
    'that may do more (%s) ends its pause, and what is unsent is sent',
    async (action) => {
      const id = newId();
      await process('installation', installed(id, 'nina', []));
      await database
        .knex('installations')
        .where({ id })
        .update({ paused_until: new Date('2999-01-01') });
      await process('installation', installed(id, 'nina', [], action));
      expect(await database.knex('installations').where({ id }).first()).toMatchObject({
        paused_until: null,
      });
      const task: unknown = await database.knex
        .withSchema('graphile_worker')
        .from('jobs')
        .where({ key: `send-reports:${id}` })
        .first();
      expect(task).toBeDefined();
    },
  );

  test('that gets another repository still waits as long as GitHub asked for', async () => {
    const id = newId();
    await process('installation', installed(id, 'olga', []));
    const pausedUntil = new Date('2999-01-01');
    await database.knex('installations').where({ id }).update({ paused_until: pausedUntil });
    await process('installation_repositories', {
      action: 'added',
      installation: { id, account: { login: 'olga' } },
      repositories_added: [repositoryOf('olga')],
    });
    expect(await database.knex('installations').where({ id }).first()).toMatchObject({
      paused_until: pausedUntil,
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

  test('whose repository an operator has paused: nothing of it is evaluated or told until it goes on', async () => {
    const repository = repositoryOf('quin');
    const id = newId();
    await process('installation', installed(id, 'quin', [repository]));
    const project = await findProjectByRepository(database.knex, repository.id);
    await setProjectEnabled(database.knex, project?.id ?? 0, false);
    const before = submissions.length;
    const paused = await process('push', pushTo(repository, id));
    expect(paused).toMatchObject({ processed: true, outcome: expect.stringContaining('is disabled') });
    expect(submissions.length).toBe(before);
    await setProjectEnabled(database.knex, project?.id ?? 0, true);
    await process('push', pushTo(repository, id));
    expect(submissions.length).toBe(before + 1);
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
