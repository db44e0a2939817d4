/** Agents that want more than is theirs, and clients that are none: over real connections. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { AgentService, agentPath, maxLogPieceBytes, protocolVersion } from '../src/agent-protocol/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/postgres/test-database.ts';
import { addAgent, askFor, out, type SessionServer, startSessionServer } from './support/agent-sessions.ts';

let database: TestDatabase;
let server: SessionServer;
let number = 0;
const streams: AbortController[] = [];
const maxLogBytes = 5 * 1024 * 1024;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  server = await startSessionServer(database.knex, { maxLogBytes });
});
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.abort();
  await server.close();
});

function clientWith(token: string | undefined) {
  const transport = createConnectTransport({
    httpVersion: '1.1',
    baseUrl: `${server.url}${agentPath}`,
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) request.header.set('authorization', `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return createClient(AgentService, transport);
}

const claims = () => ({
  protocolVersion,
  version: '0',
  machineId: 'm',
  instanceId: crypto.randomUUID(),
  systems: ['x86_64-linux'],
  slots: 4,
});

/** An agent that has opened its stream. */
async function connected() {
  number += 1;
  const token = await addAgent(database.knex, `hostile-${number}`);
  const client = clientWith(token);
  const { session } = await client.register(claims());
  const cut = new AbortController();
  streams.push(cut);
  const stream = client.assignments({ session }, { signal: cut.signal })[Symbol.asyncIterator]();
  await stream.next();
  return { client, session, stream };
}

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  );

const built = { status: 'built', message: '', outputs: { out } };

test('without a token, or with one of nobody, nothing is answered but that', async () => {
  for (const token of [undefined, 'rma_of-nobody', 'x'.repeat(6_000)]) {
    const client = clientWith(token);
    expect(await codeOf(client.register(claims()))).toBe(Code.Unauthenticated);
    const { session } = await connected();
    const calls = [
      client.heartbeat({ session }),
      client.appendLog({ session, attempt: 1n, data: Buffer.from('x') }),
      client.completeBuild({ session, attempt: 1n, ...built }),
      client.deregister({ session }),
      client.assignments({ session })[Symbol.asyncIterator]().next(),
    ];
    expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => Code.Unauthenticated));
  }
});

test("an agent can neither use another one's session nor touch its build", async () => {
  const owner = await connected();
  const attempt = askFor(server.fleet, { attemptId: 7 });
  await owner.stream.next();
  const other = await connected();
  const { session } = owner;
  expect(await codeOf(other.client.heartbeat({ session }))).toBe(Code.Unauthenticated);
  expect(await codeOf(other.client.completeBuild({ session, attempt: 7n, ...built }))).toBe(
    Code.Unauthenticated,
  );
  const own = { session: other.session, attempt: 7n };
  expect(await other.client.completeBuild({ ...own, ...built })).toMatchObject({ accepted: false });
  expect(await other.client.appendLog({ ...own, data: Buffer.from('evil\n') })).toMatchObject({
    closed: true,
  });
  expect(await other.client.heartbeat({ session: other.session, attempts: [{ attempt: 7n }] })).toMatchObject(
    {
      cancel: [7n],
    },
  );
  const mine = { session, attempt: 7n };
  await owner.client.appendLog({ ...mine, data: Buffer.from('good\n') });
  expect(await owner.client.completeBuild({ ...mine, ...built })).toMatchObject({ accepted: true });
  expect(await attempt.result).toMatchObject({ status: 'built' });
  expect(attempt.lines).toEqual(['good']);
  // Said again, and said otherwise: it is over.
  for (const status of ['built', 'failed']) {
    expect(await owner.client.completeBuild({ ...mine, ...built, status })).toMatchObject({
      accepted: false,
    });
  }
});

test('a log without an end of its line, or without an end, takes no more memory than a limit', async () => {
  const { client, session, stream } = await connected();
  const attempt = askFor(server.fleet, { attemptId: 8 });
  await stream.next();
  const data = Buffer.alloc(maxLogPieceBytes, 'x');
  let offset = 0n;
  while (offset < 2 * maxLogBytes) {
    const { nextOffset } = await client.appendLog({ session, attempt: 8n, offset, data });
    expect(nextOffset).toBeGreaterThan(offset);
    offset = nextOffset ?? 0n;
  }
  await client.completeBuild({ session, attempt: 8n, ...built });
  await attempt.result;
  const kept = attempt.lines.map((line) => line.length);
  expect(Math.max(...kept)).toBeLessThan(6 * 1024 * 1024);
  expect(kept.reduce((sum, length) => sum + length, 0)).toBeLessThan(maxLogBytes + 2 * 1024 * 1024);
});

/** Sends these bytes, however many more were announced; resolves when the server has closed the connection. */
async function send(body: Uint8Array, announced = body.length, type = 'application/proto'): Promise<string> {
  const token = await addAgent(database.knex, `raw-${crypto.randomUUID()}`);
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST ${agentPath}/${AgentService.typeName}/Register HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n` +
      `content-type: ${type}\r\ncontent-length: ${announced}\r\n${announced === body.length ? 'connection: close\r\n' : ''}\r\n`,
  );
  socket.write(body);
  return text(socket);
}

test('what is not a message at all is refused in words, and what is too large at once, with the connection', async () => {
  expect(await send(Buffer.from('ffffffffff', 'hex'))).toMatch(
    /^HTTP\/1.1 400 [\s\S]*"invalid_argument","message":"This is not a ringmaster.agent.v1.RegisterRequest/,
  );
  expect(await send(Buffer.from('{"slots":"x"}'), undefined, 'application/json')).toMatch(
    /^HTTP\/1.1 400 [\s\S]*"invalid_argument"[\s\S]*slots/,
  );
  expect(await send(Buffer.from('x'), undefined, 'text/plain')).toMatch(/^HTTP\/1.1 415 /);
  expect(await send(Buffer.alloc(10), 50_000_000)).toMatch(/^HTTP\/1.1 413 [\s\S]*"resource_exhausted"/);
});

test('claims that are no names of systems or features are refused', async () => {
  const client = clientWith(await addAgent(database.knex, 'claims'));
  const bad = [
    { systems: ["x86_64-linux'); DROP TABLE builders; --"] },
    { systems: [] },
    { features: ['a b'] },
    { slots: 0 },
    { slots: 1_000_000 },
    { instanceId: '../../x' },
    { machineId: '' },
  ];
  for (const claim of bad) {
    expect(await codeOf(client.register({ ...claims(), ...claim }))).toBe(Code.InvalidArgument);
  }
});
