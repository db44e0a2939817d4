import { createHmac } from 'node:crypto';
import { PassThrough } from 'node:stream';
import fastify, { type FastifyInstance } from 'fastify';
import knexFactory from 'knex';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createLogger, silentLogger } from '../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { type GitHubApp, type GitHubSettings, missingGitHubSettings, openGitHubApp } from './app.ts';
import { generatePrivateKey } from './test-private-key.ts';
import { webhooks, webhooksPath } from './webhooks.ts';

const secret = 'the webhook secret';
const settings: GitHubSettings = {
  appId: 1,
  privateKey: generatePrivateKey(),
  webhookSecret: secret,
  host: undefined,
  protocol: undefined,
};

let database: TestDatabase;
let app: GitHubApp | undefined;
let logged = '';
const servers: FastifyInstance[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  app = await openGitHubApp(settings, silentLogger());
});
afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));
afterAll(() => database.drop());

function serve(options: { db?: TestDatabase['knex']; app?: GitHubApp | undefined } = {}): FastifyInstance {
  logged = '';
  const destination = new PassThrough();
  destination.on('data', (chunk: Buffer) => {
    logged += chunk.toString();
  });
  const server = fastify();
  server.register(
    webhooks({
      db: database.knex,
      app,
      missing: missingGitHubSettings({ ...settings, webhookSecret: undefined }),
      log: createLogger({ level: 'info', destination }),
      ...options,
    }),
  );
  servers.push(server);
  return server;
}

const sign = (body: string, key = secret) => `sha256=${createHmac('sha256', key).update(body).digest('hex')}`;
const push = JSON.stringify({
  ref: 'refs/heads/main',
  installation: { id: 5 },
  secretive: 'a private payload',
});

interface Sent {
  readonly id?: string;
  readonly event?: string;
  readonly body?: string;
  readonly headers?: Record<string, string | undefined>;
}

async function deliver(
  server: FastifyInstance,
  { id = crypto.randomUUID(), event = 'push', body = push, headers }: Sent = {},
) {
  const all = {
    'content-type': 'application/json',
    'x-github-event': event,
    'x-github-delivery': id,
    'x-hub-signature-256': sign(body),
    ...headers,
  };
  const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const response = await server.inject({
    method: 'POST',
    url: webhooksPath,
    headers: Object.fromEntries(given),
    payload: body,
  });
  return {
    status: response.statusCode,
    text: response.body,
    type: String(response.headers['content-type']).split(';')[0],
    id,
  };
}

async function rowsOf(id: string): Promise<number> {
  return (await database.knex('deliveries').where({ id })).length;
}

async function tasksOf(id: string): Promise<number> {
  const found = await database.knex.raw(`SELECT FROM graphile_worker.jobs WHERE key = ?`, [`delivery:${id}`]);
  return found.rows.length;
}

describe('a signed delivery', () => {
  test('is accepted and stored together with the task that works it off', async () => {
    const { status, id } = await deliver(serve());
    expect(status).toBe(202);
    expect(await database.knex('deliveries').where({ id }).first()).toMatchObject({
      event: 'push',
      action: null,
      payload: JSON.parse(push),
      processed_at: null,
    });
    expect(await tasksOf(id)).toBe(1);
  });

  test('is stored once when it comes twice, also at the same time', async () => {
    const server = serve();
    const id = crypto.randomUUID();
    const answers = await Promise.all([deliver(server, { id }), deliver(server, { id })]);
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    expect(await rowsOf(id)).toBe(1);
    expect(await tasksOf(id)).toBe(1);
  });

  test('that was processed is not processed again; one that failed is', async () => {
    const server = serve();
    const { id } = await deliver(server);
    const forget = () => database.knex.raw('SELECT graphile_worker.remove_job(?)', [`delivery:${id}`]);
    await forget();
    await database.knex('deliveries').where({ id }).update({ error: 'GitHub was away' });
    expect((await deliver(server, { id })).status).toBe(202);
    expect(await tasksOf(id)).toBe(1);
    await forget();
    await database.knex('deliveries').where({ id }).update({ processed_at: new Date() });
    expect(await deliver(server, { id })).toMatchObject({
      status: 202,
      text: expect.stringContaining('before'),
    });
    expect(await tasksOf(id)).toBe(0);
  });

  test('of an event that nothing is done about is accepted and not kept', async () => {
    const { status, id } = await deliver(serve(), { event: 'watch' });
    expect(status).toBe(202);
    expect(await rowsOf(id)).toBe(0);
  });

  test('may hold text that PostgreSQL cannot store', async () => {
    const body = '{"ref":"\\u0000 and \\ud800","more":["\\u0000"],"installation":{"id":5}}';
    const { status, id } = await deliver(serve(), { body });
    expect(status).toBe(202);
    const { payload } = await database.knex('deliveries').where({ id }).first();
    expect(payload).toEqual({ ref: '\ufffd and \ufffd', more: ['\ufffd'], installation: { id: 5 } });
  });

  test('is checked over the bytes as they came', async () => {
    const body = `{ "ref" :\n"refs/heads/\\u006dain", "title": "grüße ✅" }`;
    expect(await deliver(serve(), { body })).toMatchObject({ status: 202 });
  });
});

describe('a delivery is refused', () => {
  test.each([
    ['without a signature', 401, { 'x-hub-signature-256': undefined }],
    ['without an event', 400, { 'x-github-event': undefined }],
    ['with an event that is no name', 400, { 'x-github-event': '../push' }],
    ['without an id', 400, { 'x-github-delivery': undefined }],
    ['as a form', 415, { 'content-type': 'application/x-www-form-urlencoded' }],
    ['with a signature of another length', 401, { 'x-hub-signature-256': 'sha256=abc' }],
    [
      'with the older signature alone',
      401,
      { 'x-hub-signature-256': undefined, 'x-hub-signature': 'sha1=abc' },
    ],
  ])('%s', async (_, status, headers) => {
    const id = crypto.randomUUID();
    const answer = await deliver(serve(), { id, headers: { 'x-github-delivery': id, ...headers } });
    expect(answer).toMatchObject({ status, type: 'application/problem+json' });
    expect(await rowsOf(id)).toBe(0);
  });

  test('with the signature of another secret, in one short line of the log', async () => {
    const { status, id } = await deliver(serve(), {
      headers: { 'x-hub-signature-256': sign(push, 'guess') },
    });
    expect(status).toBe(401);
    expect(await rowsOf(id)).toBe(0);
    expect(logged.trim().split('\n')).toHaveLength(1);
    expect(logged).toContain(id);
    expect(logged).not.toContain('private payload');
    expect(logged.length).toBeLessThan(300);
  });

  test.each(['{"half":', '', '[]', '"text"', 'null'])('with the body %s', async (body) => {
    expect(await deliver(serve(), { body })).toMatchObject({ status: 400 });
  });

  test('above 25 MB', async () => {
    const body = JSON.stringify({ filler: 'x'.repeat(25 * 1024 * 1024) });
    expect(await deliver(serve(), { body })).toMatchObject({ status: 413 });
  });

  test('by other methods', async () => {
    expect((await serve().inject({ method: 'GET', url: webhooksPath })).statusCode).toBe(404);
  });
});

describe('what is missing is said', () => {
  test('without credentials every delivery is answered 503 with the names of the settings', async () => {
    const answer = await deliver(serve({ app: undefined }));
    expect(answer).toMatchObject({ status: 503, type: 'application/problem+json' });
    expect(answer.text).toContain('WEBHOOK_SECRET');
  });

  test('without the database it is 503, so that GitHub shows it as failed, and works after that', async () => {
    const away = knexFactory({
      client: 'pg',
      connection: 'postgres://127.0.0.1:9/nobody',
      acquireConnectionTimeout: 200,
    });
    const { id, ...answer } = await deliver(serve({ db: away }));
    await away.destroy();
    expect(answer).toMatchObject({ status: 503, text: expect.stringContaining('Redeliver') });
    expect(await deliver(serve(), { id })).toMatchObject({ status: 202 });
    expect(await rowsOf(id)).toBe(1);
  });
});

describe('the App', () => {
  test.each([
    ['github-app-id', { appId: 'Iv1.abc' }],
    ['github-private-key', { privateKey: '-----BEGIN RSA PRIVATE KEY-----' }],
    ['github-host', { host: 'git.example.org/api', protocol: 'https' }],
    ['github-host', { host: 'git.example.org', protocol: 'ftp' }],
  ])('is not opened with settings that cannot work: %s', async (code, change) => {
    await expect(openGitHubApp({ ...settings, ...change }, silentLogger())).rejects.toMatchObject({ code });
  });

  test('is not there, without an error, when a setting is missing', async () => {
    expect(await openGitHubApp({ ...settings, webhookSecret: '' }, silentLogger())).toBeUndefined();
  });
});
