import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seedDashboard } from '../../test/support/seed-dashboard.ts';
import { webUnderTest } from '../../test/support/web-under-test.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';

let database: TestDatabase;
let app: FastifyInstance;

beforeAll(async () => {
  database = await createTestDatabase();
  await seedDashboard(database.knex, 20);
  app = await webUnderTest(database);
});
afterAll(async () => {
  await app.close();
  await database.drop();
});

/** A repository of which one commit of `main` is in this state. */
async function repositoryWith(name: string, state: string, more: Record<string, unknown> = {}) {
  const { knex } = database;
  const [project] = await knex('projects')
    .insert({
      github_repository_id: 1_000_000 + Math.floor(Math.random() * 1e9),
      installation_id: knex('installations').select('id').limit(1),
      owner: 'badge',
      name,
      default_branch: 'main',
      private: false,
      ...more,
    })
    .returning('id');
  const [revision] = await knex('revisions')
    .insert({ project_id: project.id, sha: 'a'.repeat(40), trust: 'trusted' })
    .returning('id');
  await knex('revision_sources').insert({
    revision_id: revision.id,
    kind: 'branch',
    name: 'main',
    git_ref: 'refs/heads/main',
  });
  const ended = ['succeeded', 'failed'].includes(state);
  const [evaluation] = await knex('evaluations')
    .insert({ revision_id: revision.id, state, ...(ended ? { finished_at: new Date() } : {}) })
    .returning('id');
  return evaluation.id;
}

const badge = (path: string) => app.inject({ url: `/badge/badge/${path}` });
const said = async (path: string) => (await badge(path)).json<{ message: string }>().message;

test.each([
  ['succeeded', 'passing'],
  ['failed', 'failing'],
  ['building', 'pending'],
  ['queued', 'pending'],
])('a repository that has %s is %s, as an image and as JSON', async (state, words) => {
  await repositoryWith(state, state);
  const image = await badge(`${state}.svg`);
  expect(image.statusCode).toBe(200);
  expect(image.headers['content-type']).toContain('image/svg+xml');
  expect(image.headers['cache-control']).toContain('max-age=60');
  expect(image.body).toContain(`aria-label="ringmaster: ${words}"`);
  expect(await said(`${state}.json`)).toBe(words);
  expect(await said(`${state}.json?branch=main`)).toBe(words);
  expect(await said(`${state}.json?branch=other`)).toBe('unknown');
});

test('an attribute has a badge of its own', async () => {
  const evaluation = await repositoryWith('jobs', 'failed');
  const job = (path: string[], more: object) => ({
    evaluation_id: evaluation,
    path,
    mark: 'regular',
    ...more,
  });
  await database
    .knex('jobs')
    .insert([
      job(['checks', 'x86_64-linux', 'good'], { drv_path: '/nix/store/a.drv', cached: true }),
      job(['bad'], { error: 'no' }),
    ]);
  expect(await said('jobs.json')).toBe('failing');
  expect(await said('jobs.json?job=checks.x86_64-linux.good')).toBe('passing');
  expect(await said('jobs.json?job=bad')).toBe('failing');
  expect(await said('jobs.json?job=nothing')).toBe('unknown');
  expect(await said('jobs.json?job=%22')).toBe('unknown');
});

test('a private repository answers exactly like one that is not there', async () => {
  await repositoryWith('secret', 'failed', { private: true });
  for (const kind of ['svg', 'json']) {
    const [there, absent] = [await badge(`secret.${kind}`), await badge(`absent.${kind}`)];
    expect(there.statusCode).toBe(absent.statusCode);
    expect(there.body).toBe(absent.body);
  }
  expect(await said('secret.json')).toBe('unknown');
});

test('a label is text, whatever it holds', async () => {
  const { body } = await badge('absent.svg?label=%3Cscript%3E%22%26');
  expect(body).toContain('&lt;script&gt;&quot;&amp;');
  expect(body).not.toContain('<script');
});

test('an address that is no badge is not found', async () => {
  expect((await badge('absent.png')).statusCode).toBe(404);
});
