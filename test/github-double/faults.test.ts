import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type GitHubDouble, githubLimits, startGitHubDouble } from './index.ts';
import { send, token } from './test-client.ts';

let double: GitHubDouble;
let auth = '';
let sha = '';
let now = Date.parse('2026-01-01T12:00:00Z');
let count = 0;

beforeAll(async () => {
  double = await startGitHubDouble({ clock: () => now });
  await double.createRepository({ name: 'alice/app' });
  sha = (await double.push({ repo: 'alice/app', files: { a: '1' } })).sha;
});

afterAll(() => double.close());

beforeEach(async () => {
  double.faults.clear();
  double.limiter.enforce(undefined);
  now += 2 * 3_600_000;
  auth = await token(double, 'alice');
});

const path = '/repos/alice/app/check-runs';
const create = (name = `run ${count++}`) => send(double, 'POST', path, auth, { name, head_sha: sha });
const exists = (name: string) => double.latestCheckRuns(sha).has(name);

test('the next calls that fit meet the fault, the others pass', async () => {
  double.faults.inject({
    kind: 'status',
    status: 502,
    method: 'POST',
    path: '/repos/:o/:r/check-runs',
    times: 2,
  });
  expect((await send(double, 'GET', '/repos/alice/app', auth)).status).toBe(200);
  expect([(await create()).status, (await create()).status, (await create()).status]).toEqual([
    502, 502, 201,
  ]);
});

test('limits come with the headers by which clients know how long to wait', async () => {
  double.faults.inject({ kind: 'secondary-limit', retryAfter: 7 });
  const secondary = await create();
  expect([secondary.status, secondary.headers.get('retry-after')]).toEqual([403, '7']);
  expect(secondary.body.message).toContain('secondary rate limit');
  double.faults.inject({ kind: 'primary-limit', resetIn: 30 });
  const primary = await create();
  expect([primary.status, primary.headers.get('x-ratelimit-remaining')]).toEqual([403, '0']);
  expect(Number(primary.headers.get('x-ratelimit-reset'))).toBe(now / 1000 + 30);
});

test('a connection cut before the write leaves nothing, one cut after it leaves the check run', async () => {
  double.faults.inject({ kind: 'drop-before', method: 'POST' });
  await expect(create('before')).rejects.toThrow('fetch failed');
  expect(exists('before')).toBe(false);
  double.faults.inject({ kind: 'drop-after', method: 'POST' });
  await expect(create('after')).rejects.toThrow('fetch failed');
  expect(exists('after')).toBe(true);
});

test('a hanging call is never answered, and nothing happens', async () => {
  double.faults.inject({ kind: 'hang', method: 'POST' });
  const hanging = create('hanging').catch(() => 'cut');
  await double.waitFor(() => double.journal.calls.some((call) => call.status === 'hung'));
  double.faults.clear();
  expect(await hanging).toBe('cut');
  expect(exists('hanging')).toBe(false);
});

test('GitHub goes away and comes back at the same address with all it knew', async () => {
  await create('kept');
  await double.down();
  await expect(create()).rejects.toThrow('fetch failed');
  await double.up();
  expect((await create()).status).toBe(201);
  expect(exists('kept')).toBe(true);
});

test('the 81st content-creating request of a minute is refused until the minute is over', async () => {
  double.limiter.enforce(githubLimits);
  for (let n = 0; n < 80; n++) expect((await create()).status).toBe(201);
  const refused = await create();
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([403, '60']);
  expect((await send(double, 'GET', '/repos/alice/app', auth)).status).toBe(200);
  now += 60_000;
  expect((await create()).status).toBe(201);
  expect(double.journal.calls.filter((call) => call.limited === 'secondary')).toHaveLength(1);
});

test('the hourly limits hold as well', async () => {
  double.limiter.enforce({ contentPerHour: 3, requestsPerHour: 6 });
  for (let n = 0; n < 3; n++) expect((await create()).status).toBe(201);
  expect((await create()).headers.get('retry-after')).toBe('3600');
  const read = () => send(double, 'GET', '/repos/alice/app', auth);
  for (let n = 0; n < 3; n++) expect((await read()).status).toBe(200);
  const spent = await read();
  expect([spent.status, spent.headers.get('x-ratelimit-remaining')]).toEqual([403, '0']);
  now += 3_600_000 - 1000;
  expect((await read()).status).toBe(403);
});

test('points and requests at once are limits, too', async () => {
  const read = () => send(double, 'GET', '/repos/alice/app', auth);
  double.limiter.enforce({ pointsPerMinute: 12 });
  for (let n = 0; n < 2; n++) expect((await create()).status).toBe(201);
  for (let n = 0; n < 2; n++) expect((await read()).status).toBe(200);
  expect((await read()).headers.get('retry-after')).toBe('60');
  now += 60_000;
  expect((await read()).status).toBe(200);
  double.limiter.enforce({ concurrent: 0 });
  expect((await read()).status).toBe(403);
  expect(double.limiter.most(double.installation('alice').id)).toMatchObject({ concurrent: 1 });
});

test('a wait is woken by the change, and tells the state when it is in vain', async () => {
  const waiting = double.waitFor(() => double.latestCheckRuns(sha).get('awaited'));
  await create('awaited');
  expect((await waiting).status).toBe('queued');
  const inVain = double.waitFor(() => exists('never'), { timeoutMs: 1, description: 'the check never' });
  await expect(inVain).rejects.toThrow(
    /the check never[\s\S]*check \d+ 'awaited': queued[\s\S]*POST \/repos/,
  );
});
