import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from './index.ts';
import { asObject, objectAt } from './json.ts';
import { jwt, send } from './test-client.ts';
import { type Receiver, startReceiver } from './test-receiver.ts';

let double: GitHubDouble;
let receiver: Receiver;
let now = Date.parse('2026-01-01T12:00:00Z');
let mark = 0;

beforeAll(async () => {
  double = await startGitHubDouble({ clock: () => now });
  receiver = await startReceiver(double.webhookSecret);
  double.setWebhookUrl(receiver.url);
  await double.createRepository({ name: 'alice/app' });
  await double.push({ repo: 'alice/app', files: { 'ci.nix': '{ }\n' }, message: 'Start' });
});

afterAll(async () => {
  await double.close();
  await receiver.close();
});

beforeEach(() => {
  mark = receiver.received.length;
});

const arrived = () =>
  receiver.received
    .slice(mark)
    .map(({ event, payload }) => [event, payload.action].filter(Boolean).join('.'));
const payloadOf = (event: string) =>
  receiver.received.slice(mark).find((one) => one.event === event)?.payload ?? {};

test('a push arrives signed, with the commits, the files they touch and our installation', async () => {
  const { sha, before } = await double.push({
    repo: 'alice/app',
    files: { 'ci.nix': '{ a = 1; }\n', 'new/file': 'x' },
    message: 'Add a\n\nBecause.',
    author: 'bob',
  });
  expect(receiver.received.every((one) => one.signatureFits)).toBe(true);
  expect(arrived().sort()).toEqual(['check_suite.requested', 'push']);
  expect(payloadOf('push')).toMatchObject({
    ref: 'refs/heads/main',
    before,
    after: sha,
    created: false,
    deleted: false,
    forced: false,
    head_commit: { id: sha, message: 'Add a\n\nBecause.' },
    commits: [{ id: sha, added: ['new/file'], modified: ['ci.nix'], removed: [] }],
    repository: { full_name: 'alice/app', clone_url: double.cloneUrl('alice/app'), default_branch: 'main' },
    installation: { id: double.installation('alice').id },
    sender: { login: 'bob' },
  });
});

test('no address in a payload leads to the real GitHub', async () => {
  await double.push({ repo: 'alice/app', files: { a: '1' } });
  expect(JSON.stringify(payloadOf('push'))).not.toMatch(/https?:\/\/(api\.)?github\.com/);
});

test('new branches, force pushes, tags and deletions look as they do on GitHub', async () => {
  const first = await double.push({ repo: 'alice/app', branch: 'topic/x', files: { b: '1' } });
  expect(payloadOf('push')).toMatchObject({
    ref: 'refs/heads/topic/x',
    created: true,
    before: '0'.repeat(40),
  });
  expect(payloadOf('push').commits).toHaveLength(1);

  mark = receiver.received.length;
  await double.push({ repo: 'alice/app', branch: 'topic/x', from: 'main', force: true, files: { b: '2' } });
  expect(payloadOf('push')).toMatchObject({ forced: true, before: first.sha });

  mark = receiver.received.length;
  await double.tag('alice/app', 'v1');
  expect(arrived()).toEqual(['push']);
  expect(payloadOf('push')).toMatchObject({ ref: 'refs/tags/v1', commits: [] });

  mark = receiver.received.length;
  await double.deleteBranch('alice/app', 'topic/x');
  expect(payloadOf('push')).toMatchObject({ deleted: true, after: '0'.repeat(40), head_commit: null });
});

test('a pull request is opened, synchronised by a push to its branch, and merged', async () => {
  const opened = await double.openPullRequest({ repo: 'alice/app', head: 'feature', files: { f: '1' } });
  expect(arrived()).toContain('pull_request.opened');
  expect(payloadOf('pull_request')).toMatchObject({
    number: opened.number,
    pull_request: { head: { sha: opened.headSha, ref: 'feature' }, base: { ref: 'main' }, mergeable: null },
  });

  mark = receiver.received.length;
  const next = await double.push({ repo: 'alice/app', branch: 'feature', files: { f: '2' } });
  expect(arrived().sort()).toEqual(['check_suite.requested', 'pull_request.synchronize', 'push']);
  expect(payloadOf('pull_request')).toMatchObject({ before: opened.headSha, after: next.sha });

  mark = receiver.received.length;
  await double.closePullRequest('alice/app', opened.number, { merge: true });
  expect(payloadOf('pull_request')).toMatchObject({ action: 'closed', pull_request: { merged: true } });
  const { merge_commit_sha } = asObject(payloadOf('pull_request').pull_request);
  expect(payloadOf('push')).toMatchObject({ ref: 'refs/heads/main', after: merge_commit_sha });
});

test("a fork's pushes reach the App only through the pull request", async () => {
  const opened = await double.openPullRequest({
    repo: 'alice/app',
    head: 'w',
    fork: 'eve',
    files: { e: '1' },
  });
  expect(arrived()).toEqual(['pull_request.opened']);
  mark = receiver.received.length;
  await double.synchronize('alice/app', opened.number, { files: { e: '2' } });
  expect(arrived()).toEqual(['pull_request.synchronize']);
  expect(payloadOf('pull_request')).toMatchObject({
    sender: { login: 'eve' },
    pull_request: { head: { repo: { full_name: 'eve/app', fork: true } } },
  });
});

test('conflicting pull requests are not mergeable and have no test merge', async () => {
  const opened = await double.openPullRequest({ repo: 'alice/app', head: 'clash', files: { c: 'theirs' } });
  await double.push({ repo: 'alice/app', files: { c: 'ours' } });
  expect([opened.pull.mergeable, opened.pull.mergeCommitSha]).toEqual([false, null]);
});

test('comments, reviews, re-runs, buttons and the merge queue are announced', async () => {
  const { number, headSha } = await double.openPullRequest({
    repo: 'alice/app',
    head: 'q',
    files: { q: '1' },
  });
  mark = receiver.received.length;
  const { comment } = await double.gestures.comment({
    repo: 'alice/app',
    number,
    author: 'bob',
    body: '/ci run',
  });
  expect(payloadOf('issue_comment')).toMatchObject({
    action: 'created',
    comment: { id: comment.id, body: '/ci run', user: { login: 'bob' } },
    issue: { number, pull_request: { html_url: `${double.url}/alice/app/pull/${number}` } },
  });
  await double.gestures.editComment('alice/app', comment.id, '/ci help');
  await double.gestures.review({ repo: 'alice/app', number, author: 'bob', state: 'approved' });
  await double.gestures.rerequestSuite('alice/app', headSha, 'bob');
  expect(payloadOf('check_suite')).toMatchObject({
    check_suite: { head_sha: headSha, app: { id: double.appId } },
  });
  const queued = await double.gestures.enqueue('alice/app', number);
  expect(objectAt(payloadOf('merge_group'), 'merge_group')).toMatchObject({
    head_sha: queued.sha,
    head_ref: queued.ref,
  });
  await double.gestures.dequeue('alice/app', queued.ref, 'merged');
  expect(arrived().sort()).toEqual([
    'check_suite.requested',
    'check_suite.rerequested',
    'issue_comment.created',
    'issue_comment.edited',
    'merge_group.checks_requested',
    'merge_group.destroyed',
    'pull_request_review.submitted',
    'push',
    'push',
  ]);
});

test('a lost delivery is found in the list and sent again under the same GUID', async () => {
  double.webhooks.lose(2);
  await double.push({ repo: 'alice/app', files: { lost: '1' } });
  expect(arrived()).toEqual([]);
  const list = await send(double, 'GET', '/app/hook/deliveries?per_page=2', jwt(double));
  const failed = JSON.parse(list.text).find((one: { event: string }) => one.event === 'push');
  expect(failed).toMatchObject({ status_code: 504, redelivery: false });
  expect(list.headers.get('link')).toContain('cursor=');
  const again = await send(double, 'POST', `/app/hook/deliveries/${failed.id}/attempts`, jwt(double));
  expect(again.status).toBe(202);
  await double.waitFor(() => receiver.received.length > mark);
  expect(receiver.received.at(-1)?.guid).toBe(failed.guid);
});

test('deliveries older than three days are gone', async () => {
  const list = async () => JSON.parse((await send(double, 'GET', '/app/hook/deliveries', jwt(double))).text);
  expect(await list()).not.toHaveLength(0);
  now += 3 * 24 * 3_600_000;
  expect(await list()).toHaveLength(0);
});

test('what the receiver answers is recorded, and no receiver at all is a failure', async () => {
  receiver.status = 500;
  const refused = await double.deliver('ping', { zen: 'x' });
  expect([refused.statusCode, refused.response]).toEqual([500, 'seen']);
  receiver.status = 202;
  double.setWebhookUrl('http://127.0.0.1:1/');
  const failed = await double.deliver('ping', { zen: 'x' });
  expect([failed.statusCode, failed.status]).toEqual([502, 'failed to connect to host']);
  double.setWebhookUrl(receiver.url);
});

test('recorded payloads are sent as GitHub sent them', async () => {
  await double.deliverRecorded('installation', 0);
  expect(payloadOf('installation')).toEqual(double.recorded.example('installation', 0));
});

test('an App that is not installed hears nothing', async () => {
  await double.createRepository({ name: 'carol/app', installed: false });
  await double.push({ repo: 'carol/app', files: { a: '1' } });
  expect(arrived()).toEqual([]);
});
