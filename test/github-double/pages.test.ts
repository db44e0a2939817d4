import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from './index.ts';
import { asObject } from './json.ts';
import { send, token } from './test-client.ts';

let double: GitHubDouble;
let sha = '';

beforeAll(async () => {
  double = await startGitHubDouble();
  await double.createRepository({ name: 'alice/app' });
  sha = (await double.push({ repo: 'alice/app', files: { a: '1' } })).sha;
});

afterAll(() => double.close());

test("a commit's page shows its checks with escaped text, annotations, buttons and statuses", async () => {
  const auth = await token(double, 'alice');
  await send(double, 'POST', '/repos/alice/app/check-runs', auth, {
    name: 'ringmaster',
    head_sha: sha,
    conclusion: 'action_required',
    details_url: 'http://127.0.0.1:9/builds/1',
    output: {
      title: 'Waiting',
      summary: '| a | <script>alert(1)</script> |',
      annotations: [
        {
          path: 'ci.nix',
          start_line: 7,
          end_line: 7,
          annotation_level: 'failure',
          message: 'undefined variable',
        },
      ],
    },
    actions: [{ label: 'Approve', identifier: 'approve', description: 'Build it' }],
  });
  await send(double, 'POST', `/repos/alice/app/statuses/${sha}`, auth, {
    state: 'pending',
    context: 'ringmaster/ci',
  });
  const page = await (await fetch(`${double.url}/alice/app/commit/${sha}`)).text();
  for (const shown of ['action_required', 'Waiting', 'ci.nix:7', 'Approve', 'ringmaster/ci', 'builds/1']) {
    expect(page).toContain(shown);
  }
  expect(page).toContain('&lt;script&gt;');
  expect(page).not.toContain('<script>');
});

test('somebody signs in: a code, a token, and the repositories they may see', async () => {
  await double.createRepository({ name: 'alice/private', private: true });
  double.browser.person = 'bob';
  const authorize = `${double.url}/login/oauth/authorize?client_id=${double.clientId}&redirect_uri=http://127.0.0.1:9/back&state=s1`;
  const back = await fetch(authorize, { redirect: 'manual' });
  const location = new URL(back.headers.get('location') ?? '');
  expect([location.pathname, location.searchParams.get('state')]).toEqual(['/back', 's1']);
  const exchange = async (code: string | null, secret = double.clientSecret) => {
    const body = JSON.stringify({ client_id: double.clientId, client_secret: secret, code });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${double.url}/login/oauth/access_token`, { method: 'POST', body, headers });
    return asObject(await answer.json());
  };
  const code = location.searchParams.get('code');
  expect(await exchange(code, 'wrong')).toMatchObject({ error: 'incorrect_client_credentials' });
  const { access_token } = await exchange(code);
  expect(await exchange(code)).toMatchObject({ error: 'bad_verification_code' });
  const bearer = `Bearer ${access_token}`;
  expect((await send(double, 'GET', '/user', bearer)).body.login).toBe('bob');
  const path = `/user/installations/${double.installation('alice').id}/repositories`;
  expect((await send(double, 'GET', path, bearer)).body.total_count).toBe(1);
  double.setRole('alice/private', 'bob', 'read');
  expect((await send(double, 'GET', path, bearer)).body.total_count).toBe(2);
});

test('a person who refuses to sign in is sent back with the reason', async () => {
  double.browser.person = undefined;
  const authorize = `${double.url}/login/oauth/authorize?client_id=${double.clientId}&redirect_uri=http://127.0.0.1:9/back`;
  const back = await fetch(authorize, { redirect: 'manual' });
  expect(back.headers.get('location')).toContain('error=access_denied');
});

test('an App is made from a manifest, with a code that works once', async () => {
  const manifest = {
    name: 'CI',
    redirect_url: 'http://127.0.0.1:9/made',
    default_permissions: { checks: 'write' },
  };
  const sent = await fetch(`${double.url}/settings/apps/new?state=abc`, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({ manifest: JSON.stringify(manifest) }),
  });
  const location = new URL(sent.headers.get('location') ?? '');
  expect(location.searchParams.get('state')).toBe('abc');
  expect(double.browser.manifest).toMatchObject({ default_permissions: { checks: 'write' } });
  const convert = () =>
    send(double, 'POST', `/app-manifests/${location.searchParams.get('code')}/conversions`);
  expect((await convert()).body).toMatchObject({ id: double.appId, webhook_secret: double.webhookSecret });
  expect((await convert()).status).toBe(404);
});
