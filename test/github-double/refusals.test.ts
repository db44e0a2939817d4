import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from './index.ts';
import { complaints, send, token } from './test-client.ts';

let double: GitHubDouble;
let auth = '';
let sha = '';

beforeAll(async () => {
  double = await startGitHubDouble();
  await double.createRepository({ name: 'alice/app' });
  sha = (await double.push({ repo: 'alice/app', files: { a: '1' } })).sha;
  auth = await token(double, 'alice');
});

afterAll(() => double.close());

const post = (path: string, body: unknown) => send(double, 'POST', `/repos/alice/app${path}`, auth, body);
const check = (fields: object) => post('/check-runs', { name: 'x', head_sha: sha, ...fields });
const output = (fields: object) => check({ output: { title: 't', summary: 's', ...fields } });
const note = { path: 'ci.nix', start_line: 1, end_line: 1, annotation_level: 'failure', message: 'm' };
const annotated = (fields: object) => output({ annotations: [{ ...note, ...fields }] });

describe('a check run is refused', () => {
  const nine = '9'.repeat(40);
  const cases: [string, () => Promise<Awaited<ReturnType<typeof send>>>, string][] = [
    ['without a name', () => check({ name: undefined }), 'missing_field'],
    ['for a commit that does not exist', () => check({ head_sha: nine }), `No commit found for SHA: ${nine}`],
    ['for a branch name instead of a commit', () => check({ head_sha: 'main' }), 'head_sha'],
    ['when it is completed without a conclusion', () => check({ status: 'completed' }), 'conclusion'],
    [
      'when it has an end and no conclusion',
      () => check({ completed_at: '2026-01-01T00:00:00Z' }),
      'conclusion',
    ],
    ['with a conclusion only GitHub gives', () => check({ conclusion: 'stale' }), 'conclusion'],
    ['with a status of GitHub Actions', () => check({ status: 'waiting' }), 'status'],
    ['with an output without title', () => output({ title: undefined }), 'output.title'],
    ['with a summary one byte too long', () => output({ summary: 'a'.repeat(65_536) }), '65535'],
    ['with few characters of many bytes', () => output({ text: 'ü'.repeat(32_768) }), '65536 were supplied'],
    ['with 51 annotations', () => output({ annotations: Array(51).fill(note) }), '50 annotations'],
    ['with a column over several lines', () => annotated({ end_line: 2, start_column: 1 }), 'start_column'],
    ['with lines the wrong way round', () => annotated({ start_line: 3 }), 'end_line'],
    ['with an unknown annotation level', () => annotated({ annotation_level: 'error' }), 'annotation_level'],
    ['with an annotation message over 64 KB', () => annotated({ message: 'a'.repeat(65_537) }), 'message'],
    ['with an annotation title over 255', () => annotated({ title: 'a'.repeat(256) }), 'title'],
    [
      'with four buttons',
      () => check({ actions: Array(4).fill({ label: 'l', identifier: 'i', description: 'd' }) }),
      '3 actions',
    ],
    [
      'with a button label over 20 characters',
      () => check({ actions: [{ label: 'l'.repeat(21), identifier: 'i', description: 'd' }] }),
      'label',
    ],
    ['with a details URL that is none', () => check({ details_url: 'ringmaster/1' }), 'http'],
    ['with a key GitHub does not know', () => check({ detailsUrl: 'http://x/' }), 'not a permitted key'],
  ];
  test.each(cases)('%s', async (_, attempt, complaint) => {
    const answer = await attempt();
    expect(answer.status).toBe(422);
    expect(complaints(answer)).toContain(complaint);
    expect(answer.body.documentation_url).toContain('https://docs.github.com');
  });
});

test('exactly the allowed sizes are accepted', async () => {
  expect((await output({ summary: 'a'.repeat(65_535), text: `a${'ü'.repeat(32_767)}` })).status).toBe(201);
  expect((await output({ annotations: Array(50).fill(note) })).status).toBe(201);
  expect((await annotated({ start_column: 1, end_column: 2 })).status).toBe(201);
});

test('annotations of later requests are appended', async () => {
  const { body } = await output({ annotations: Array(50).fill(note) });
  const path = `/repos/alice/app/check-runs/${body.id}`;
  await send(double, 'PATCH', path, auth, {
    output: { title: 't', summary: 's', annotations: [note, note] },
  });
  const read = await send(double, 'GET', path, auth);
  expect(read.body.output).toMatchObject({ annotations_count: 52 });
});

test('a conclusion alone completes a run; going back is accepted and marked in the journal', async () => {
  const { body } = await check({ conclusion: 'success' });
  expect(body).toMatchObject({ status: 'completed', conclusion: 'success' });
  const path = `/repos/alice/app/check-runs/${body.id}`;
  const again = await send(double, 'PATCH', path, auth, { status: 'in_progress' });
  expect(again).toMatchObject({ status: 200, body: { status: 'in_progress', conclusion: null } });
  expect(double.journal.calls.filter((call) => call.regression)).toHaveLength(1);
});

test('of more than a thousand runs of one name GitHub silently keeps the newest', async () => {
  const many = await startGitHubDouble();
  await many.createRepository({ name: 'bob/many' });
  const { sha: at } = await many.push({ repo: 'bob/many', files: { a: '1' } });
  const bob = await token(many, 'bob');
  const create = (external_id: string) =>
    send(many, 'POST', '/repos/bob/many/check-runs', bob, { name: 'same', head_sha: at, external_id });
  for (let n = 0; n <= 1000; n++) expect((await create(String(n))).status).toBe(201);
  const kept = many.checkRuns(at).map((run) => run.externalId);
  expect([kept.length, kept[0], kept.at(-1)]).toEqual([1000, '1', '1000']);
  await many.close();
});

describe('a commit status', () => {
  const status = (fields: object, at = sha) => post(`/statuses/${at}`, { state: 'success', ...fields });
  test('has a known state, a short description and a real commit', async () => {
    expect((await status({ state: 'cancelled' })).status).toBe(422);
    expect((await status({ description: 'd'.repeat(141) })).status).toBe(422);
    expect((await status({ description: 'd'.repeat(140) })).status).toBe(201);
    expect((await status({ target_url: 'ftp://x' })).status).toBe(422);
    expect((await status({}, '9'.repeat(40))).status).toBe(422);
    expect((await status({}, 'main')).status).toBe(422);
  });
  test('can be set a thousand times for a context, and no more', async () => {
    for (let n = 0; n < 1000; n++) expect((await status({ context: 'often' })).status).toBe(201);
    const refused = await status({ context: 'often' });
    expect([refused.status, refused.body.message]).toEqual([
      422,
      'This SHA and context has reached the maximum number of statuses.',
    ]);
    expect((await status({ context: 'another' })).status).toBe(201);
  });
});

test('broken JSON is a 400', async () => {
  expect(await post('/check-runs', '{"name":')).toMatchObject({
    status: 400,
    body: { message: 'Problems parsing JSON' },
  });
});

test('a reaction GitHub does not have is refused', async () => {
  const { number } = await double.openPullRequest({ repo: 'alice/app', head: 'h', files: { h: '1' } });
  const { comment } = await double.gestures.comment({
    repo: 'alice/app',
    number,
    author: 'bob',
    body: '/ci run',
  });
  expect((await post(`/issues/comments/${comment.id}/reactions`, { content: 'thumbs' })).status).toBe(422);
  expect((await post(`/issues/comments/${comment.id}/reactions`, { content: '-1' })).status).toBe(201);
});
