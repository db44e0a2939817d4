import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type SeededDashboard, seedDashboard } from '../../../test/support/seed-dashboard.ts';
import { failedLog } from '../../../test/support/seed-jobs.ts';
import { webUnderTest } from '../../../test/support/web-under-test.ts';
import { silentLogger } from '../../basics/index.ts';
import { openLogWriter, packLogs } from '../../logs/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';

let database: TestDatabase;
let app: FastifyInstance;
let seeded: SeededDashboard;

beforeAll(async () => {
  database = await createTestDatabase();
  seeded = await seedDashboard(database.knex, 450);
  app = await webUnderTest(database);
});
afterAll(async () => {
  await app.close();
  await database.drop();
});

const list = z.object({
  items: z.array(z.record(z.string(), z.unknown())),
  nextCursor: z.string().nullable(),
});
const revision = z.object({
  id: z.number(),
  sha: z.string(),
  evaluation: z.object({ id: z.number() }).nullable(),
});

/** Follows the Link headers of a list to its end. */
async function readAll(first: string): Promise<Record<string, unknown>[]> {
  const items: Record<string, unknown>[] = [];
  let url: string | undefined = first;
  while (url !== undefined) {
    const { statusCode, headers, body } = await app.inject({ url });
    expect(statusCode).toBe(200);
    items.push(...list.parse(JSON.parse(body)).items);
    url = nextLink(headers.link);
  }
  return items;
}

function nextLink(header: unknown): string | undefined {
  return /<([^>]+)>; rel="next"/.exec(String(header ?? ''))?.[1];
}

async function evaluationOf(project: string, sha: string): Promise<number> {
  const revisions = z.array(revision).parse(await readAll(`/api/v1/projects/${project}/revisions?limit=500`));
  return revisions.find((candidate) => candidate.sha === sha)?.evaluation?.id ?? 0;
}

describe('the API', () => {
  it('lists projects with the state of their default branch', async () => {
    const items = await readAll('/api/v1/projects');
    const hello = items.find((project) => project.name === 'hello');
    expect(hello).toMatchObject({
      owner: 'acme',
      defaultBranch: 'main',
      url: 'https://ci.example.org/acme/hello',
      head: { sha: seeded.shas.green, evaluation: { state: 'succeeded', counts: { total: 7, good: 7 } } },
    });
  });

  it('pages through a list without losing or repeating anything', async () => {
    const all = await readAll('/api/v1/projects/acme/hello/revisions?limit=500');
    const paged = await readAll('/api/v1/projects/acme/hello/revisions?limit=4');
    expect(paged).toEqual(all);
    expect(all.length).toBeGreaterThan(20);
  });

  it('refuses a cursor that it did not make', async () => {
    const answer = await app.inject('/api/v1/projects?cursor=AAAA');
    expect(answer.json()).toMatchObject({ status: 400, code: 'bad-cursor' });
  });

  it('filters jobs by state and by a part of their name', async () => {
    const id = await evaluationOf('acme/hello', seeded.shas.red);
    const failed = await readAll(`/api/v1/evaluations/${id}/jobs?state=output-mismatch`);
    expect(failed.map((job) => job.attribute)).toEqual(['checks.x86_64-linux.fixed-output']);
    const odd = await readAll(`/api/v1/evaluations/${id}/jobs?query=${encodeURIComponent('QUOTED')}`);
    expect(odd.map((job) => job.path)).toEqual([['checks', 'x86_64-linux', 'a.b "quoted" <b>']]);
  });

  it('counts all jobs of a large evaluation', async () => {
    const id = await evaluationOf('acme/packages', seeded.shas.huge);
    const { counts } = (await app.inject(`/api/v1/evaluations/${id}`)).json();
    expect(counts.total).toBe(450);
    expect((await readAll(`/api/v1/evaluations/${id}/jobs?limit=100`)).length).toBe(450);
  });

  it('tells evaluation errors with their place', async () => {
    const project = 'lighthouse/infrastructure-of-the-harbour-and-its-many-machines';
    const id = await evaluationOf(project, seeded.shas.errors);
    const [job] = await readAll(`/api/v1/evaluations/${id}/jobs?query=gateway`);
    expect(job).toMatchObject({
      state: 'evaluation-error',
      drvPath: null,
      error: { file: 'machines/gateway.nix', line: 14 },
    });
  });

  it('answers 304 to those who have it already', async () => {
    const first = await app.inject('/api/v1/projects');
    const again = await app.inject({
      url: '/api/v1/projects',
      headers: { 'if-none-match': String(first.headers.etag) },
    });
    expect(again.statusCode).toBe(304);
    expect(again.body).toBe('');
  });

  it('gives the log of a build byte by byte as it was printed', async () => {
    const whole = Buffer.concat(
      failedLog.map((line) => Buffer.concat([Buffer.from(line), Buffer.from('\n')])),
    );
    const answer = await app.inject(`/api/v1/builds/${seeded.failed.buildId}/log`);
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(answer.rawPayload).toEqual(whole);
    expect(answer.headers).toMatchObject({ 'x-log-complete': 'true', 'x-next-byte': String(whole.length) });
    const rest = await app.inject(`/api/v1/builds/${seeded.failed.buildId}/log?from=1000`);
    expect(rest.rawPayload).toEqual(whole.subarray(1000));
  });

  it('gives a part of a log to those who ask for a range, packed or not', async () => {
    const url = `/api/v1/builds/${seeded.failed.buildId}/log`;
    const whole = (await app.inject(url)).rawPayload;
    const size = whole.length;
    const etag = String((await app.inject(url)).headers.etag);
    const ask = async (range: string, more: Record<string, string> = {}) => {
      const { statusCode, headers, rawPayload } = await app.inject({ url, headers: { range, ...more } });
      return { statusCode, range: headers['content-range'], bytes: rawPayload };
    };
    for (const packed of [false, true]) {
      if (packed) await packLogs(database.knex, 100_000);
      const chunks = await database.knex('log_chunks').where({ attempt_id: seeded.failed.attemptId });
      expect(chunks.every(({ packing }) => (packing !== null) === packed)).toBe(true);
      expect(await ask('bytes=100-199')).toEqual({
        statusCode: 206,
        range: `bytes 100-199/${size}`,
        bytes: whole.subarray(100, 200),
      });
      expect((await ask('bytes=-50')).bytes).toEqual(whole.subarray(size - 50));
      expect((await ask(`bytes=${size - 9}-`, { 'if-range': etag })).bytes).toEqual(whole.subarray(size - 9));
    }
    expect(await ask(`bytes=${size}-`)).toMatchObject({ statusCode: 416, range: `bytes */${size}` });
    expect(await ask('bytes=0-9', { 'if-range': '"another"' })).toMatchObject({
      statusCode: 200,
      bytes: whole,
    });
    expect(await ask('bytes=0-1,5-6')).toMatchObject({ statusCode: 200, bytes: whole });
    const growing = `/api/v1/builds/${seeded.running.buildId}/log`;
    const part = await app.inject({ url: growing, headers: { range: 'bytes=0-9' } });
    expect(part.headers).toMatchObject({ 'content-range': 'bytes 0-9/*', 'x-log-complete': 'false' });
  });

  it('tells what an evaluation changed, and why, in pages', async () => {
    const id = await evaluationOf('acme/hello', seeded.shas.red);
    const attributes = [
      { path: ['checks', 'new'], kind: 'added' },
      { path: ['app'], kind: 'rebuilt', cause: { kind: 'source', name: 'source', of: 'lib' } },
      { path: ['lib'], kind: 'rebuilt', cause: { kind: 'name', from: 'lib-1', to: 'lib-2' } },
    ];
    const counts = { added: 1, removed: 0, rebuilt: 2, broken: 4, repaired: 0, unchanged: 9 };
    const base = { base_sha: seeded.shas.green, base_branch: 'main' };
    expect((await app.inject(`/api/v1/evaluations/${id}/changes`)).json()).toEqual({
      items: [],
      nextCursor: null,
      base: null,
      counts: null,
      unkept: 0,
    });
    await database.knex('evaluation_changes').insert({
      evaluation_id: id,
      ...base,
      counts: JSON.stringify(counts),
      attributes: JSON.stringify(attributes),
    });
    const first = (await app.inject(`/api/v1/evaluations/${id}/changes?limit=2`)).json();
    expect(first).toMatchObject({ base: { sha: seeded.shas.green, branch: 'main' }, counts, unkept: 4 });
    expect(await readAll(`/api/v1/evaluations/${id}/changes?limit=2`)).toEqual([
      { path: ['checks', 'new'], kind: 'added', cause: null },
      {
        path: ['app'],
        kind: 'rebuilt',
        cause: { kind: 'source', name: 'source', of: 'lib', from: null, to: null },
      },
      {
        path: ['lib'],
        kind: 'rebuilt',
        cause: { kind: 'name', name: null, of: null, from: 'lib-1', to: 'lib-2' },
      },
    ]);
    expect((await app.inject('/api/v1/evaluations/999999/changes')).statusCode).toBe(404);
  });

  it('gives a log of many megabytes whole, which no cache between may keep', async () => {
    const [row]: { id: number }[] = await database
      .knex('attempts')
      .insert({ build_id: seeded.failed.buildId, builder: 'local', state: 'ended' })
      .returning('id');
    const attemptId = row?.id ?? 0;
    const writer = openLogWriter({ db: database.knex, attemptId, log: silentLogger() });
    for (let line = 0; line < 3; line += 1) writer.line(Buffer.alloc(1024 * 1024, 65 + line));
    await writer.finish();
    const bytes = 3 * (1024 * 1024 + 1);
    const answer = await app.inject(
      `/api/v1/builds/${seeded.failed.buildId}/log?attempt=${attemptId}&from=5`,
    );
    expect(answer.rawPayload).toHaveLength(bytes - 5);
    expect(answer.headers).toMatchObject({ 'x-log-complete': 'true', 'x-next-byte': String(bytes) });
    expect(answer.headers['cache-control']).toContain('private');
    await database.knex('attempts').where({ id: attemptId }).delete();
  });

  it('shows attempts, the lost one too, newest first', async () => {
    const build = (await app.inject(`/api/v1/builds/${seeded.failed.buildId}`)).json();
    expect(build.attempts.map((attempt: { state: string }) => attempt.state)).toEqual(['ended', 'lost']);
  });

  it('says what runs where and what waits', async () => {
    const { items, totals } = (await app.inject('/api/v1/queue?limit=500')).json();
    expect(totals.building + totals.queued + totals.blocked).toBe(items.length);
    expect(items).toContainEqual(
      expect.objectContaining({ name: 'docs', state: 'blocked', waitsFor: 'test' }),
    );
    expect(await readAll('/api/v1/builders')).toContainEqual(
      expect.objectContaining({ name: 'ampere', connected: false, slots: 8 }),
    );
  });

  it('describes every route of its own in OpenAPI, with names for its shapes', async () => {
    const document = (await app.inject('/api/v1/openapi.json')).json();
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths).every((path) => path.startsWith('/api/v1/'))).toBe(true);
    expect(Object.keys(document.paths)).toContain('/api/v1/builds/{id}/log');
    expect(Object.keys(document.components.schemas)).toEqual(
      expect.arrayContaining(['Project', 'Revision', 'Evaluation', 'Job', 'Build', 'Attempt', 'Problem']),
    );
  });
});
