import { once } from 'node:events';
import { connect } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SeededDashboard, seedDashboard } from '../../../test/support/seed-dashboard.ts';
import { webUnderTest } from '../../../test/support/web-under-test.ts';
import { silentLogger } from '../../basics/index.ts';
import { openLogWriter } from '../../logs/index.ts';
import { createListener, notify } from '../../postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { createEventStreams } from './event-stream.ts';

interface Event {
  readonly name: string;
  readonly id: string | undefined;
  readonly data: string;
}

let database: TestDatabase;
let app: FastifyInstance;
let address: string;
let seeded: SeededDashboard;
const subscribed: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  seeded = await seedDashboard(database.knex, 100);
  const listener = createListener(database, silentLogger());
  app = await webUnderTest(database, {
    subscribe: (channel, handler) => {
      subscribed.push(channel);
      return listener.subscribe(channel, handler);
    },
  });
  app.addHook('onClose', () => listener.close());
  address = await app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await app.close();
  await database.drop();
});

/** Reads the events of a stream until the server ends it or the caller stops asking. */
async function* eventsOf(path: string, headers: Record<string, string> = {}): AsyncGenerator<Event> {
  const answer = await fetch(address + path, { headers: { accept: 'text/event-stream', ...headers } });
  expect(answer.headers.get('content-type')).toContain('text/event-stream');
  let text = '';
  for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += part;
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const fields = new Map(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => [line.split(': ')[0], line.slice(line.indexOf(': ') + 2)]),
      );
      text = text.slice(end + 2);
      const name = fields.get('event');
      if (name) yield { name, id: fields.get('id'), data: fields.get('data') ?? '' };
    }
  }
}

async function nextEvent(events: AsyncGenerator<Event>): Promise<Event> {
  const { value, done } = await events.next();
  if (done) throw new Error('the stream ended');
  return value;
}

/** An attempt of a build that waits, with nothing in its log. */
async function newAttempt(): Promise<{ buildId: number; attemptId: number }> {
  const build: { id: number } = await database
    .knex('builds')
    .select('id')
    .where({ state: 'queued', name: 'default' })
    .first();
  await database.knex('attempts').where({ build_id: build.id }).update({ state: 'lost' });
  const [row]: { id: number }[] = await database
    .knex('attempts')
    .insert({ build_id: build.id, builder: 'local' })
    .returning('id');
  return { buildId: build.id, attemptId: row?.id ?? 0 };
}

describe('the live log of a build', () => {
  it('comes as it is written, and ends with it', async () => {
    const { buildId, attemptId } = await newAttempt();
    const writer = openLogWriter({ db: database.knex, attemptId, log: silentLogger() });
    const events = eventsOf(`/api/v1/builds/${buildId}/log/stream`);
    writer.line(Buffer.from('first'));
    expect(await nextEvent(events)).toEqual({ name: 'log', id: '6', data: JSON.stringify('first\n') });
    writer.line(Buffer.from('grüße'));
    expect(await nextEvent(events)).toEqual({ name: 'log', id: '14', data: JSON.stringify('grüße\n') });
    await writer.finish();
    expect((await nextEvent(events)).name).toBe('end');
    expect((await events.next()).done).toBe(true);
  });

  it('goes on where a broken connection had come to', async () => {
    const { buildId, attemptId } = await newAttempt();
    const writer = openLogWriter({ db: database.knex, attemptId, log: silentLogger() });
    for (const line of ['one', 'two', 'three']) writer.line(Buffer.from(line));
    await writer.finish();
    const events = eventsOf(`/api/v1/builds/${buildId}/log/stream`, { 'last-event-id': '4' });
    expect(JSON.parse((await nextEvent(events)).data)).toBe('two\nthree\n');
  });

  it('ends when its builder was lost, since nobody will finish it', async () => {
    const { buildId, attemptId } = await newAttempt();
    await database.knex('attempts').where({ id: attemptId }).update({ state: 'lost' });
    const names: string[] = [];
    for await (const { name } of eventsOf(`/api/v1/builds/${buildId}/log/stream`)) names.push(name);
    expect(names).toEqual(['end']);
  });

  it('stops for who may not see it any more', async () => {
    const { buildId, attemptId } = await newAttempt();
    const writer = openLogWriter({ db: database.knex, attemptId, log: silentLogger() });
    const events = eventsOf(`/api/v1/builds/${buildId}/log/stream`);
    writer.line(Buffer.from('public'));
    expect(JSON.parse((await nextEvent(events)).data)).toBe('public\n');
    await database.knex('projects').where({ name: 'hello' }).update({ private: true });
    try {
      writer.line(Buffer.from('secret'));
      expect((await nextEvent(events)).name).toBe('end');
      expect((await events.next()).done).toBe(true);
    } finally {
      await database.knex('projects').where({ name: 'hello' }).update({ private: false });
      await writer.finish();
    }
  });

  it('comes to a page as numbered lines of HTML', async () => {
    const { attemptId } = await newAttempt();
    const writer = openLogWriter({ db: database.knex, attemptId, log: silentLogger() });
    const page = `/acme/hello/commit/${seeded.shas.running}/packages.aarch64-linux.default/events`;
    const events = eventsOf(`${page}?attempt=${attemptId}&from=0&line=1`);
    writer.line(Buffer.from('Running phase: buildPhase'));
    writer.line(Buffer.from('\u001b[31m<error>'));
    const { data, id } = await nextEvent(events);
    expect(JSON.parse(data)).toEqual({
      first: 1,
      lines: [
        { html: 'Running phase: buildPhase', phase: 'buildPhase' },
        { html: '<span class="f1">&lt;error&gt;</span>' },
      ],
    });
    expect(id).toBe('39:3');
    await writer.finish();
    await events.return(undefined);
  });
});

describe('a page’s stream', () => {
  it('says when its revision changed', async () => {
    const revision: { id: number } = await database
      .knex('revisions')
      .select('id')
      .where({ sha: seeded.shas.running })
      .first();
    const events = eventsOf(`/acme/hello/commit/${seeded.shas.running}/events`);
    const told = nextEvent(events);
    // The stream listens some time after it was asked for, so tell it until it heard.
    const telling = setInterval(
      () => void notify(database.knex, 'ringmaster_revision', String(revision.id)),
      20,
    );
    expect((await told).name).toBe('changed');
    clearInterval(telling);
    await events.return(undefined);
  });

  it('costs the database one subscription, however many watch', async () => {
    const streams = Array.from({ length: 12 }, () => eventsOf('/events'));
    const told = Promise.all(streams.map(nextEvent));
    const revision: { id: number } = await database
      .knex('revisions')
      .select('id')
      .where({ sha: seeded.shas.green })
      .first();
    const telling = setInterval(
      () => void notify(database.knex, 'ringmaster_revision', String(revision.id)),
      20,
    );
    await told;
    clearInterval(telling);
    expect(subscribed.filter((channel) => channel === 'ringmaster_revision')).toHaveLength(1);
    await Promise.all(streams.map((stream) => stream.return(undefined)));
  });

  it('is cut when its viewer takes nothing, however much there is to tell', async () => {
    const streams = createEventStreams({ heartbeatMs: 50 });
    const server = fastify();
    let sent = 0;
    server.get('/flood', async (_request, reply) => {
      const stream = streams.open(reply);
      for (; !stream.signal.aborted; sent += 1) await stream.send({ data: 'x'.repeat(100_000) });
      return reply;
    });
    const { port } = new URL(await server.listen({ port: 0, host: '127.0.0.1' }));
    const socket = connect(Number(port), '127.0.0.1').pause();
    socket.write('GET /flood HTTP/1.1\r\nhost: x\r\n\r\n');
    // Nobody reads: the connection ends although its viewer does not close it.
    await once(server.server, 'connection').then(([peer]) => once(peer, 'close'));
    expect(streams.size).toBe(0);
    expect(sent).toBeLessThan(500);
    socket.destroy();
    await server.close();
  });

  it('does not keep the server from closing', async () => {
    const server = await webUnderTest(database);
    const url = await server.listen({ port: 0, host: '127.0.0.1' });
    const answer = await fetch(`${url}/events`);
    const ended = answer.text();
    await server.close();
    expect(await ended).toContain('retry:');
  });
});
