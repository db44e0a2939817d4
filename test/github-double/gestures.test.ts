import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { tryGit } from './git.ts';
import { type GitHubDouble, startGitHubDouble } from './index.ts';
import { send, token } from './test-client.ts';
import { type Receiver, startReceiver } from './test-receiver.ts';

let double: GitHubDouble;
let receiver: Receiver;
let auth = '';
let sha = '';
let mark = 0;

beforeAll(async () => {
  double = await startGitHubDouble({ echoCheckRuns: true });
  receiver = await startReceiver(double.webhookSecret);
  double.setWebhookUrl(receiver.url);
  await double.createRepository({ name: 'org/app', organization: true });
  sha = (await double.push({ repo: 'org/app', files: { a: '1' } })).sha;
  auth = await token(double, 'org');
});

afterAll(async () => {
  await double.close();
  await receiver.close();
});

beforeEach(() => {
  mark = receiver.received.length;
});

const arrival = (event: string, action: string) =>
  double.waitFor(() =>
    receiver.received.slice(mark).find((one) => one.event === event && one.payload.action === action),
  );

test('check runs come back as events, and people press their buttons', async () => {
  const made = await send(double, 'POST', '/repos/org/app/check-runs', auth, {
    name: 'ringmaster',
    head_sha: sha,
    external_id: 'gate:1',
    conclusion: 'action_required',
    actions: [{ label: 'Approve', identifier: 'approve', description: 'Build it' }],
  });
  await arrival('check_run', 'created');
  await arrival('check_run', 'completed');
  const run = double.latestCheckRuns(sha).get('ringmaster');
  if (!run) throw new Error('the run is missing');
  await double.gestures.pressButton(run, 'approve', 'mallory');
  expect((await arrival('check_run', 'requested_action')).payload).toMatchObject({
    requested_action: { identifier: 'approve' },
    check_run: {
      id: made.body.id,
      external_id: 'gate:1',
      head_sha: sha,
      check_suite: { head_branch: 'main' },
    },
    sender: { login: 'mallory' },
    organization: { login: 'org' },
    installation: { id: double.installation('org').id },
  });
  await double.gestures.rerequestRun(run);
  expect((await arrival('check_run', 'rerequested')).payload).toMatchObject({ check_run: { id: run.id } });
});

test('an App hears its own comments, as a bot', async () => {
  const { number } = await double.openPullRequest({ repo: 'org/app', head: 'h', files: { h: '1' } });
  await send(double, 'POST', `/repos/org/app/issues/${number}/comments`, auth, { body: '/ci run' });
  expect((await arrival('issue_comment', 'created')).payload).toMatchObject({
    sender: { login: 'ringmaster[bot]', type: 'Bot' },
    comment: { body: '/ci run' },
  });
});

test('a renamed repository keeps its id, and its old name leads to it', async () => {
  const { body } = await send(double, 'GET', '/repos/org/app', auth);
  await double.gestures.rename('org/app', 'renamed');
  expect((await arrival('repository', 'renamed')).payload).toMatchObject({
    repository: { id: body.id, full_name: 'org/renamed' },
    changes: { repository: { name: { from: 'app' } } },
  });
  expect((await send(double, 'GET', '/repos/org/app', auth)).body.full_name).toBe('org/renamed');
  expect((await send(double, 'GET', `/repositories/${body.id}`, auth)).body.full_name).toBe('org/renamed');
  const status = await send(double, 'POST', `/repos/org/app/statuses/${sha}`, auth, { state: 'success' });
  expect(status.status).toBe(201);
  const refs = await tryGit('/', ['ls-remote', double.cloneUrl('org/app'), 'refs/heads/main']);
  expect(refs.stdout).toContain(sha);
});

test('a repository that becomes private is announced and closed to strangers', async () => {
  await double.gestures.setPrivate('org/renamed', true);
  await arrival('repository', 'privatized');
  expect((await send(double, 'GET', '/repos/org/renamed')).status).toBe(404);
});

test('after the App is removed its tokens are worthless', async () => {
  await double.gestures.uninstall('org');
  const { payload } = await arrival('installation', 'deleted');
  expect(payload).toMatchObject({ repositories: [{ full_name: 'org/renamed' }] });
  expect((await send(double, 'GET', '/repos/org/renamed', auth)).status).toBe(401);
});
