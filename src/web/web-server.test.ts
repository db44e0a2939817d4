import type { FastifyInstance } from 'fastify';
import knex from 'knex';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SeededDashboard, seedDashboard } from '../../test/support/seed-dashboard.ts';
import { webUnderTest } from '../../test/support/web-under-test.ts';
import { silentLogger } from '../basics/index.ts';
import { openDatabase } from '../postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';

let database: TestDatabase;
let app: FastifyInstance;
let seeded: SeededDashboard;

beforeAll(async () => {
  database = await createTestDatabase();
  seeded = await seedDashboard(database.knex, 600);
  app = await webUnderTest(database);
});
afterAll(async () => {
  await app.close();
  await database.drop();
});

const page = (url: string) => app.inject({ url, headers: { accept: 'text/html' } });

describe('every answer', () => {
  it('forbids everything that does not come from this server', async () => {
    for (const url of ['/', '/api/v1/projects', '/nowhere/at/all']) {
      const { headers } = await page(url);
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      expect(headers['content-security-policy']).not.toContain('unsafe');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['referrer-policy']).toBe('same-origin');
    }
  });

  it('has no inline style or script and no address outside of this server but links', async () => {
    const { body } = await page(`/acme/hello/commit/${seeded.shas.red}`);
    expect(body).not.toMatch(/ style=|<style|<script(?! type="module" src="\/assets\/)/);
    expect(body).not.toMatch(/(?:src|action)="https?:/);
  });

  it('shows what other people wrote without the characters that reorder or hide text', async () => {
    const trojan = 'safe\u202e\u2066 gnp.exe\u001b[2J\u200f';
    await database.knex('revisions').where({ sha: seeded.shas.red }).update({ author: trojan });
    const { body } = await page(`/acme/hello/commit/${seeded.shas.red}`);
    expect(body).toContain('safe\ufffd\ufffd gnp.exe\ufffd[2J\ufffd');
    expect(body).not.toMatch(/[\p{Bidi_Control}]/u);
  });

  it('is complete even for an address that cannot be decoded', async () => {
    for (const url of ['/%ZZ', '/acme/hello/tree/%ff']) {
      const { statusCode, headers, body } = await page(url);
      expect(statusCode).toBe(400);
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      expect(body).not.toContain('ZZ');
    }
  });

  it('echoes the id of the request, unless it is not fit to be one', async () => {
    const echoed = await app.inject({ url: '/healthz', headers: { 'x-request-id': 'abc-123' } });
    expect(echoed.headers['x-request-id']).toBe('abc-123');
    const refused = await app.inject({ url: '/healthz', headers: { 'x-request-id': 'a b\u00e9"' } });
    expect(refused.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is compressed for those who can read that', async () => {
    const { headers, rawPayload } = await app.inject({
      url: `/acme/hello/commit/${seeded.shas.red}`,
      headers: { accept: 'text/html', 'accept-encoding': 'gzip, br' },
    });
    expect(headers['content-encoding']).toBe('gzip');
    expect(rawPayload.subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]));
  });

  it('serves its assets for ever under names that change with them', async () => {
    const path = /href="(\/assets\/[^"]+\.css)"/.exec((await page('/')).body)?.[1] ?? '';
    const sheet = await app.inject(path);
    expect(sheet.headers['cache-control']).toContain('immutable');
    expect(sheet.body).toContain('prefers-color-scheme: dark');
    expect((await app.inject('/assets/../package.json')).statusCode).toBe(404);
  });
});

describe('errors', () => {
  it('are a page for people', async () => {
    const answer = await page('/nobody/nothing');
    expect(answer.statusCode).toBe(404);
    expect(answer.body).toContain('There is no such project.');
  });

  it('are problems for programs', async () => {
    const answer = await app.inject('/api/v1/projects/nobody/nothing');
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.json()).toMatchObject({
      status: 404,
      code: 'not-found',
      title: 'There is no such project.',
    });
  });

  it('say which part of a request is wrong', async () => {
    const answer = await app.inject('/api/v1/projects?limit=0');
    expect(answer.statusCode).toBe(400);
    expect(answer.json().detail).toContain('limit');
  });

  it.each([
    '/acme/hello/commit/zzz',
    '/acme/hello/commit/abc%00def',
    '/acme/hello/pull/999999',
    '/acme/hello/commit/1234567/~G',
    "/search?q='%22%00",
  ])('are never the server’s own for %s', async (url) => {
    expect((await page(url)).statusCode).toBeLessThan(500);
  });
});

describe('a commit that GitHub does not show as it is', () => {
  const troubled = async (name: string, row: Record<string, unknown>) => {
    const { id } = await database.knex('revisions').where({ sha: seeded.shas.red }).first('id');
    await database.knex('reports').insert({
      revision_id: id,
      installation_id: 1,
      kind: 'check',
      name,
      desired: '{}',
      desired_digest: '',
      last_error: `GitHub answered 422: <${name}>`,
      ...row,
    });
  };

  it('says what GitHub refused, and in which words', async () => {
    await troubled('ringmaster / lost', { given_up: true });
    await troubled('ringmaster / short', { degraded: true, sent_version: 1 });
    await troubled('ringmaster / later', {});
    await troubled('ringmaster / fine', { sent_version: 1 });
    const { body } = await page(`/acme/hello/commit/${seeded.shas.red}`);
    const text = body.replaceAll(/<[^>]+>/g, '').replaceAll(/\s+/g, ' ');
    expect(text).toContain(
      'ringmaster / lost is not there, GitHub refused it: GitHub answered 422: &lt;ringmaster / lost&gt;',
    );
    expect(text).toContain('ringmaster / short is there without its details, GitHub refused them: ');
    expect(text).toContain('ringmaster / later is not up to date there, it is tried again: ');
    expect(text).not.toContain('ringmaster / fine is');
    const other = await page(`/acme/hello/commit/${seeded.shas.green}`);
    expect(other.body).not.toContain('GitHub does not show');
  });
});

describe('an attribute whose derivation cannot be built at all', () => {
  it('counts as failed and shows why, as on GitHub', async () => {
    const { id } = await database
      .knex('jobs')
      .join('evaluations', 'evaluations.id', 'jobs.evaluation_id')
      .join('revisions', 'revisions.id', 'evaluations.revision_id')
      .where('revisions.sha', seeded.shas.red)
      .whereNull('jobs.error')
      .first('jobs.id');
    const error = 'Its derivation refers to a file that is gone.';
    await database.knex('jobs').where({ id }).update({ error, build_id: null });
    const { body } = await app.inject(`/api/v1/jobs/${id}`);
    expect(JSON.parse(body)).toMatchObject({ state: 'evaluation-error', error: { message: error } });
  });
});

describe('addresses', () => {
  it('of commits may be short or have other capitals, and lead to the one true one', async () => {
    const short = await page(`/Acme/HELLO/commit/${seeded.shas.red.slice(0, 8)}`);
    expect(short.statusCode).toBe(302);
    expect(short.headers.location).toBe(`/acme/hello/commit/${seeded.shas.red}`);
  });

  it('never lead to another server', async () => {
    for (const url of [
      '//evil.example/pull/1/x',
      '//evil.example/tree/main',
      '/%2F/evil.example/pull/1/files',
      '//evil.example/commit/1234567',
    ]) {
      expect((await page(url)).statusCode, url).toBe(404);
    }
  });

  it('of odd attributes lead to their pages', async () => {
    const list = await page(`/acme/hello/commit/${seeded.shas.red}`);
    const links = [...list.body.matchAll(/class="name" href="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(links).toHaveLength(18);
    for (const link of links) expect((await page(link)).statusCode, link).toBe(200);
  });
});

describe('private repositories', () => {
  it('are, while hidden, exactly as if they did not exist', async () => {
    const builds: { id: number }[] = await database
      .knex('builds')
      .select('id')
      .where({ name: 'secret-thing' });
    const id = builds[0]?.id;
    const pairs: (readonly [string, string])[] = [
      ['/acme/vault', '/acme/no-such'],
      [`/acme/vault/commit/${seeded.shas.secret}`, `/acme/no-such/commit/${seeded.shas.secret}`],
      [
        `/acme/vault/commit/${seeded.shas.secret}/secret-attribute`,
        '/acme/no-such/commit/1234567/secret-attribute',
      ],
      [`/acme/vault/commit/${seeded.shas.secret}/events`, '/acme/no-such/commit/1234567/events'],
      ['/acme/vault/events', '/acme/no-such/events'],
      ['/api/v1/projects/acme/vault', '/api/v1/projects/acme/no-such'],
      ['/api/v1/projects/acme/vault/revisions', '/api/v1/projects/acme/no-such/revisions'],
      [`/api/v1/builds/${id}`, '/api/v1/builds/999999'],
      [`/api/v1/builds/${id}/log`, '/api/v1/builds/999999/log'],
      [`/api/v1/builds/${id}/log/stream`, '/api/v1/builds/999999/log/stream'],
    ];
    for (const [secret, missing] of pairs) {
      const headers = { accept: 'text/html', 'x-request-id': 'same' };
      const [one, other] = [
        await app.inject({ url: secret, headers }),
        await app.inject({ url: missing, headers }),
      ];
      expect(one.statusCode, secret).toBe(404);
      expect(one.body, secret).toBe(other.body);
    }
    for (const url of [
      '/',
      '/queue',
      '/builders',
      '/search?q=vault',
      '/search?q=secret',
      `/search?q=${seeded.shas.secret.slice(0, 8)}`,
      '/api/v1/projects',
      '/api/v1/queue',
    ]) {
      expect((await page(url)).body, url).not.toMatch(
        /acme\/vault|acme\/<\/span>vault|secret-thing|secret-attribute/,
      );
    }
  });

  it('are there when the operator says so', async () => {
    const open = await webUnderTest(database, { privateProjects: 'visible', metrics: new Registry() });
    expect((await open.inject('/api/v1/projects/acme/vault')).statusCode).toBe(200);
    expect((await open.inject({ url: '/queue', headers: { accept: 'text/html' } })).body).toContain(
      'secret-thing',
    );
    await open.close();
  });
});

describe('health', () => {
  it('is ready when every check is, and says which is not', async () => {
    const checks = [{ name: 'database', check: () => Promise.reject(new Error('no answer')) }];
    const sick = await webUnderTest(database, { health: { checks, draining: () => false } });
    const answer = await sick.inject('/readyz');
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toEqual({
      status: 'not-ready',
      checks: [{ name: 'database', ok: false, message: 'no answer' }],
    });
    expect((await sick.inject('/healthz')).statusCode).toBe(200);
    await sick.close();
    expect((await app.inject('/readyz')).json()).toEqual({ status: 'ready', checks: [] });
  });

  it('is not ready while draining', async () => {
    const draining = await webUnderTest(database, { health: { checks: [], draining: () => true } });
    expect((await draining.inject('/readyz')).statusCode).toBe(503);
    await draining.close();
  });

  it('measures requests by route, never by address', async () => {
    await page('/acme/hello');
    const { body } = await app.inject('/metrics');
    expect(body).toContain('route="/:owner/:project"');
    expect(body).not.toContain('acme');
  });
});

describe('a database that is away', () => {
  it('is told to people with a page that tries again, and to programs with Retry-After', async () => {
    const db = knex({ client: 'pg', connection: { host: '/nowhere/at/all' } });
    const server = await webUnderTest(database, { db });
    const shown = await server.inject({ url: '/acme/hello', headers: { accept: 'text/html' } });
    expect(shown.statusCode).toBe(503);
    expect(shown.body).toContain('The database does not answer right now.');
    expect(shown.body).toContain('data-retry-seconds');
    const told = await server.inject('/api/v1/projects');
    expect(told.headers['retry-after']).toBe('5');
    expect(told.json()).toMatchObject({ status: 503, code: 'database-away' });
    expect(shown.body + told.body).not.toMatch(/nowhere|ENOENT/);
    await db.destroy();
    await server.close();
  });

  it('is what one looks like that lets this server in no more', async () => {
    const { pool } = database;
    const role = `outcast_${crypto.randomUUID().replaceAll('-', '')}`;
    await pool.query(`CREATE ROLE ${role} LOGIN SUPERUSER`);
    const theirs = await openDatabase(
      database.url.replace(/^(postgres(?:ql)?:\/\/)[^@/]*@?/, `$1${role}@`),
      silentLogger(),
    );
    const server = await webUnderTest(database, { db: theirs.knex });
    const show = () => server.inject({ url: '/acme/hello', headers: { accept: 'text/html' } });
    expect((await show()).statusCode).toBe(200);
    await pool.query(`ALTER ROLE ${role} NOLOGIN`);
    await pool.query('SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE usename = $1', [
      role,
    ]);
    // The first may still have the connection that was ended.
    for (const shown of [await show(), await show()]) {
      expect(shown.statusCode).toBe(503);
      expect(shown.body).not.toContain(role);
    }
    await theirs.close();
    await server.close();
    await pool.query(`DROP ROLE ${role}`);
  });
});
