import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from './index.ts';
import { jwt, send, token } from './test-client.ts';

let double: GitHubDouble;
let sha = '';
let now = Date.parse('2026-01-01T12:00:00Z');

beforeAll(async () => {
  double = await startGitHubDouble({ clock: () => now });
  await double.createRepository({ name: 'org/secret', private: true, organization: true });
  await double.createRepository({ name: 'org/open' });
  await double.createRepository({ name: 'else/private', private: true, installed: false });
  await double.createRepository({ name: 'else/public', installed: false });
  sha = (await double.push({ repo: 'org/secret', files: { a: '1' } })).sha;
});

afterAll(() => double.close());

const seconds = () => Math.floor(now / 1000);
const app = (authorization?: string) => send(double, 'GET', '/app', authorization);

test('only a JWT of the App, signed with its key and of the right age, speaks for the App', async () => {
  expect((await app(jwt(double))).status).toBe(200);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const stolen = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  const refusals: [string | undefined, number, string][] = [
    [undefined, 401, 'could not be decoded'],
    [jwt(double, {}, stolen), 401, 'could not be decoded'],
    [jwt(double, { exp: seconds() + 660 }), 401, 'too far in the future'],
    [jwt(double, { exp: seconds() - 1 }), 401, "'exp'"],
    [jwt(double, { iat: seconds() + 90 }), 401, "'iat'"],
    [jwt(double, { iss: 1 }), 404, 'Integration not found'],
    [await token(double, 'org'), 401, 'could not be decoded'],
  ];
  for (const [authorization, status, message] of refusals) {
    const answer = await app(authorization);
    expect(answer.status, message).toBe(status);
    expect(answer.body.message).toContain(message);
  }
  expect((await app(jwt(double, { exp: seconds() + 600, iat: seconds() + 30 }))).status).toBe(200);
});

test('a token dies after an hour, when it is revoked, and when all are expired by hand', async () => {
  const first = await token(double, 'org');
  const read = (authorization: string) => send(double, 'GET', '/repos/org/secret', authorization);
  now += 3_599_000;
  expect((await read(first)).status).toBe(200);
  now += 1000;
  expect(await read(first)).toMatchObject({ status: 401, body: { message: 'Bad credentials' } });

  const second = await token(double, 'org');
  expect((await send(double, 'DELETE', '/installation/token', second)).status).toBe(204);
  expect((await read(second)).status).toBe(401);

  const third = await token(double, 'org');
  double.expireTokens();
  expect((await read(third)).status).toBe(401);
});

test('a private repository out of reach does not exist, a public one can be read but not written', async () => {
  const narrow = await token(double, 'org', { repositories: ['open'] });
  expect((await send(double, 'GET', '/repos/org/open', narrow)).status).toBe(200);
  expect((await send(double, 'GET', '/repos/org/secret', narrow)).status).toBe(404);
  expect((await send(double, 'GET', '/repos/else/private', narrow)).status).toBe(404);
  expect((await send(double, 'GET', '/repos/else/public', narrow)).status).toBe(200);
  expect(
    await send(double, 'POST', `/repos/else/public/statuses/${sha}`, narrow, { state: 'success' }),
  ).toMatchObject({
    status: 403,
    body: { message: 'Resource not accessible by integration' },
  });
  expect((await send(double, 'GET', '/repos/org/secret')).status).toBe(404);
  expect((await send(double, 'POST', `/repos/org/open/statuses/${sha}`)).status).toBe(401);
});

test('a token narrowed to permissions can do nothing else', async () => {
  const narrow = await token(double, 'org', { permissions: { contents: 'read' } });
  const write = (path: string, body: unknown) =>
    send(double, 'POST', `/repos/org/secret${path}`, narrow, body);
  expect((await send(double, 'GET', '/repos/org/secret/contents/a', narrow)).status).toBe(200);
  expect((await write(`/statuses/${sha}`, { state: 'success' })).status).toBe(403);
  const refused = await write('/check-runs', { name: 'x', head_sha: sha });
  expect([refused.status, refused.headers.get('x-accepted-github-permissions')]).toEqual([
    403,
    'checks=write',
  ]);
  expect((await send(double, 'GET', '/repos/org/secret/pulls', narrow)).status).toBe(403);
  const [call] = double.callsTo('POST', '/repos/:owner/:repo/check-runs').slice(-1);
  expect(call?.auth).toMatchObject({ kind: 'installation', permissions: { contents: 'read' } });
});

test('a token cannot be asked for more than the installation has', async () => {
  const ask = (body: unknown) =>
    send(
      double,
      'POST',
      `/app/installations/${double.installation('org').id}/access_tokens`,
      jwt(double),
      body,
    );
  expect((await ask({ repositories: ['nowhere'] })).status).toBe(422);
  expect((await ask({ repository_ids: [1] })).status).toBe(422);
  expect((await ask({ permissions: { contents: 'write' } })).status).toBe(422);
  expect((await ask({ permissions: { administration: 'read' } })).status).toBe(422);
  expect((await send(double, 'POST', '/app/installations/1/access_tokens', jwt(double))).status).toBe(404);
});

test('a suspended installation is shut out until it is let in again', async () => {
  const before = await token(double, 'org');
  await double.gestures.suspend('org');
  const read = () => send(double, 'GET', '/repos/org/secret', before);
  expect(await read()).toMatchObject({
    status: 403,
    body: { message: 'This installation has been suspended' },
  });
  await expect(token(double, 'org')).rejects.toThrow('suspended');
  await double.gestures.unsuspend('org');
  expect((await read()).status).toBe(200);
});

test('a repository taken from the installation is out of reach of tokens made before', async () => {
  const whole = await token(double, 'org');
  await double.gestures.selectRepository('org/secret', false);
  expect((await send(double, 'GET', '/repos/org/secret', whole)).status).toBe(404);
  await double.gestures.selectRepository('org/secret', true);
  expect((await send(double, 'GET', '/repos/org/secret', whole)).status).toBe(200);
});
