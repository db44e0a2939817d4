import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import type { NotificationTarget } from '../basics/config/index.ts';
import { silentLogger } from '../basics/index.ts';
import { addTask, newTaskWorkerId, startTaskRunner } from '../postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { announce, createNotificationSender, sendNotificationTask } from './index.ts';
import { chatText } from './message.ts';
import { notificationShape } from './send.ts';

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let database: TestDatabase;
let projectId: number;
let server: Server;
let address: string;
let folder: string;
let received: Received[];
let status: number;
let minutes: number;
let asked: number;
/** Nothing is answered before it is over. */
let held: Promise<void>;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'ringmaster-notifications-'));
  const { knex } = database;
  await knex('installations').insert({ id: 1, account_login: 'acme' });
  const project = { github_repository_id: 1, installation_id: 1, owner: 'Acme', name: 'app' };
  [{ id: projectId }] = await knex('projects')
    .insert({ ...project, default_branch: 'main', private: false })
    .returning('id');
  server = createServer((request, response) => {
    asked += 1;
    void text(request).then(async (body) => {
      await held;
      received.push({ headers: request.headers, body });
      response.writeHead(status, status === 302 ? { location: `${address}/elsewhere` } : {}).end('taken');
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const at = server.address();
  address = `http://127.0.0.1:${typeof at === 'object' ? at?.port : 0}`;
});
beforeEach(async () => {
  received = [];
  status = 200;
  minutes = 0;
  asked = 0;
  held = Promise.resolve();
  await database.knex.raw('TRUNCATE revisions, evaluations, jobs, builds, branch_verdicts CASCADE');
  await database.knex.raw('DELETE FROM graphile_worker._private_jobs');
});
afterAll(async () => {
  server?.close();
  await database?.drop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

test('a branch that breaks is told, one that stays broken is not, and that it is good again is', async () => {
  const targets = [target({})];
  await ends(targets, 'main', { good: true, late: true });
  await ends(targets, 'main', { good: true, late: false });
  await ends(targets, 'main', { good: true, late: false });
  await ends(targets, 'main', { good: false, late: false });
  await ends(targets, 'main', { good: true, late: true });
  await ends(targets, 'main', { good: true, late: true });
  expect((await told()).map(({ event, failed }) => ({ event, failed }))).toEqual([
    { event: 'broken', failed: ['late'] },
    { event: 'broken', failed: ['good', 'late'] },
    { event: 'recovered', failed: [] },
  ]);
});

test('who wants to know everything is told everything, with what is new in it', async () => {
  const targets = [target({ events: ['broken', 'failing', 'recovered', 'passing'] })];
  const revision = await ends(targets, 'main', { one: false, two: true });
  await ends(targets, 'main', { one: false, two: true });
  await ends(targets, 'main', { one: true, two: true });
  await ends(targets, 'main', { one: true, two: true });
  const [first, ...others] = await told();
  expect(first).toEqual({
    event: 'broken',
    project: 'Acme/app',
    branch: 'main',
    sha: revision.sha,
    title: 'A change',
    author: 'ann',
    evaluationId: revision.evaluationId,
    attributes: 2,
    failing: 1,
    newlyFailing: 1,
    failed: ['one'],
    finishedAt: expect.any(String),
    url: `https://ci.example.org/Acme/app/commit/${revision.sha}`,
  });
  expect(others.map(({ event }) => event)).toEqual(['failing', 'recovered', 'passing']);
});

test('it is told once, however often somebody looks, and not while the commit is evaluated again', async () => {
  const targets = [target({})];
  const { id } = await ends(targets, 'main', { one: false });
  await Promise.all([1, 2, 3].map(() => announce(options(targets), id)));
  expect(await told()).toHaveLength(1);
  await database.knex('evaluations').insert({ revision_id: id });
  await announce(options(targets), id);
  expect(await told()).toHaveLength(1);
});

test('an older commit that ends after a newer one is no news', async () => {
  const targets = [target({})];
  const older = await insert('main', { one: false });
  await ends(targets, 'main', { one: true });
  await announce(options(targets), older.id);
  expect(await told()).toEqual([]);
});

test('a commit that comes to a branch with its verdict is told there', async () => {
  const targets = [target({})];
  await ends(targets, 'main', { one: false });
  const { id } = await ends(targets, 'topic', { one: true });
  expect((await told()).map(({ event }) => event)).toEqual(['broken']);
  await seenOn(id, 'main');
  await announce(options(targets), id);
  expect((await told()).map(({ event }) => event)).toEqual(['broken', 'recovered']);
});

test('each target hears of its projects and branches alone', async () => {
  const targets = [
    target({ name: 'mine', projects: ['acme/*'] }),
    target({ name: 'others', projects: ['other/*'] }),
    target({ name: 'releases', branches: ['release/*'] }),
  ];
  await ends(targets, 'main', { one: false });
  await ends(targets, 'release/1', { one: false });
  await ends(targets, 'topic', { one: false });
  expect((await told()).map((one) => [one.target, one.branch])).toEqual([
    ['mine', 'main'],
    ['releases', 'release/1'],
  ]);
});

test('a mark changes what is a failure, and so does an error', async () => {
  const targets = [target({})];
  const { evaluationId, id } = await insert('main', { one: true });
  await database.knex('jobs').insert([
    { evaluation_id: evaluationId, path: ['may'], mark: 'may-fail', build_id: await build('failed') },
    { evaluation_id: evaluationId, path: ['must'], mark: 'must-fail', build_id: await build('succeeded') },
    { evaluation_id: evaluationId, path: ['a.b', 'c'], error: 'error: no' },
  ]);
  await database.knex('evaluations').update({ state: 'failed' });
  await announce(options(targets), id);
  expect((await told()).map(({ failed }) => failed)).toEqual([['"a.b".c', 'must']]);
});

test('a webhook is signed, and says by its id that it comes again', async () => {
  const secret = join(folder, 'secret');
  await writeFile(secret, 'swordfish\n');
  const targets = [target({ url: address, secret_file: secret })];
  await ends(targets, 'main', { one: false });
  const [task] = await tasks();
  const send = createNotificationSender(targets, silentLogger());
  status = 503;
  await expect(send(task)).rejects.toThrow('the notification target team answered 503');
  status = 204;
  await send(task);
  const [first, second] = received;
  if (!first || !second) throw new Error('nothing came');
  const signature = createHmac('sha256', 'swordfish').update(second.body).digest('hex');
  expect(second.headers['x-ringmaster-signature-256']).toBe(`sha256=${signature}`);
  expect(second.headers['x-ringmaster-event']).toBe('broken');
  expect(second.headers['x-ringmaster-delivery']).toBe(first.headers['x-ringmaster-delivery']);
  expect(JSON.parse(second.body)).toMatchObject({ id: task?.id, event: 'broken', project: 'Acme/app' });
});

test('a target that does not answer keeps nothing else waiting', async () => {
  let answer = () => {};
  held = new Promise((resolve) => {
    answer = resolve;
  });
  const targets = [target({ url: address, branches: ['*'] })];
  for (const branch of ['a', 'b', 'c']) await ends(targets, branch, { one: false });
  let done = (_waiting: number) => {};
  const other = new Promise<number>((resolve) => {
    done = resolve;
  });
  const runner = startTaskRunner({
    database,
    workerId: newTaskWorkerId(),
    concurrency: 2,
    handlers: {
      [sendNotificationTask]: createNotificationSender(targets, silentLogger()),
      other: async () => done(asked),
    },
    log: silentLogger(),
  });
  await expect.poll(() => asked).toBe(1);
  await addTask(database.knex, 'other', {});
  expect(await other).toBe(1);
  answer();
  await expect.poll(() => received.length).toBe(3);
  await runner.stop();
});

test('trouble names the target and never its address', async () => {
  const nobody = createServer();
  await new Promise<void>((done) => nobody.listen(0, '127.0.0.1', done));
  const at = nobody.address();
  const port = typeof at === 'object' ? at?.port : 0;
  await new Promise((done) => nobody.close(done));
  const urlFile = join(folder, 'url');
  await writeFile(urlFile, `http://127.0.0.1:${port}/secret-part\n`);
  const targets = [target({ url: undefined, url_file: urlFile }), target({ name: 'moved', url: address })];
  await ends(targets, 'main', { one: false });
  const send = createNotificationSender(targets, silentLogger());
  const [team, moved] = await tasks();
  const refused = await send(team).catch((error: unknown) => error);
  expect(refused).toMatchObject({ message: 'the notification target team did not take it: ECONNREFUSED' });
  status = 302;
  await expect(send(moved)).rejects.toThrow('the notification target moved answered 302');
  expect(received).toHaveLength(1);
  await writeFile(urlFile, `http://ann:secret-part@127.0.0.1:${port}/`);
  await expect(send(team)).rejects.toThrow(/^the notification target team has a user or a password in its/);
  await rm(urlFile);
  await expect(send(team)).rejects.toThrow(/team has a url_file that cannot be read/);
  // One that is not configured any more is dropped.
  await createNotificationSender([], silentLogger())(moved);
});

test('a chat is told in one message, in which nothing that others wrote is markup', async () => {
  const targets = [target({ kind: 'slack', url: address })];
  await ends(targets, 'main', Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((n) => [`job${n}`, false])));
  const [task] = await tasks();
  await createNotificationSender(targets, silentLogger())(task);
  const { text: said } = z.object({ text: z.string() }).parse(JSON.parse(received[0]?.body ?? ''));
  const lines = said.split('\n');
  expect(lines[0]).toBe(':x: 7 of 7 attributes fail: *Acme/app*, main');
  expect(lines[1]).toMatch(
    /^<https:\/\/ci\.example\.org\/Acme\/app\/commit\/\w{40}\|\w{7}> A change \(ann\)$/,
  );
  expect(lines[2]).toBe('`job1`, `job2`, `job3`, `job4`, `job5` and 2 more');
  if (!task) throw new Error('nothing to tell');
  const hostile = {
    ...task.notification,
    title: '<!channel> @all *b* `c`\n\u202e',
    failed: ['a`<x>'],
    failing: 1,
  };
  const line = chatText(hostile).split('\n');
  expect(line).toHaveLength(3);
  expect(line[1]).toContain('&lt;!channel&gt; @\u2060all \u2060*b\u2060* \u2060`c\u2060`');
  expect(line[2]).toBe("`a'&lt;x&gt;`");
});

function target(changes: Partial<NotificationTarget>): NotificationTarget {
  const given = { name: 'team', kind: 'webhook', url: 'https://example.org/', projects: ['*'] } as const;
  return { ...given, projects: ['*'], events: ['broken', 'recovered'], ...changes };
}

function options(targets: readonly NotificationTarget[]) {
  return { db: database.knex, targets, publicUrl: 'https://ci.example.org' };
}

const taskRow = z.object({
  target: z.string(),
  id: z.string(),
  notification: notificationShape,
});

async function tasks() {
  const rows: unknown[] = await database.knex('graphile_worker._private_jobs').orderBy('id').pluck('payload');
  return rows.map((row) => taskRow.parse(row));
}

async function told() {
  return (await tasks()).map(({ target: name, notification }) => ({
    ...notification,
    ...(name === 'team' ? {} : { target: name }),
  }));
}

/** A commit of the branch whose evaluation ended with attributes that are good or not. */
async function ends(targets: readonly NotificationTarget[], branch: string, jobs: Record<string, boolean>) {
  const revision = await insert(branch, jobs);
  await announce(options(targets), revision.id);
  return revision;
}

async function insert(branch: string, jobs: Readonly<Record<string, boolean>>) {
  const { knex } = database;
  const sha = crypto.randomUUID().replaceAll('-', '').padEnd(40, '0');
  const [{ id }] = await knex('revisions')
    .insert({ project_id: projectId, sha, trust: 'trusted', title: 'A change', author: 'ann' })
    .returning('id');
  await seenOn(id, branch);
  const state = Object.values(jobs).every((good) => good) ? 'succeeded' : 'failed';
  const [{ id: evaluationId }] = await knex('evaluations')
    .insert({ revision_id: id, state, finished_at: new Date(), job_count: Object.keys(jobs).length })
    .returning('id');
  for (const [name, good] of Object.entries(jobs)) {
    const buildId = await build(good ? 'succeeded' : 'failed');
    await knex('jobs').insert({ evaluation_id: evaluationId, path: [name], build_id: buildId });
  }
  return { id: z.number().parse(id), evaluationId: z.number().parse(evaluationId), sha };
}

async function seenOn(revisionId: number, branch: string): Promise<void> {
  minutes += 1;
  await database.knex('revision_sources').insert({
    revision_id: revisionId,
    kind: 'branch',
    name: branch,
    git_ref: `refs/heads/${branch}`,
    seen_at: new Date(Date.UTC(2026, 0, 1, 0, minutes)),
  });
}

async function build(state: string): Promise<number> {
  const drv = `/nix/store/${crypto.randomUUID()}.drv`;
  const [{ id }] = await database
    .knex('builds')
    .insert({ drv_path: drv, name: 'x', system: 'x86_64-linux', state, finished_at: new Date() })
    .returning('id');
  return z.number().parse(id);
}
