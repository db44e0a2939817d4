/** What agents and servers make of each other's absences, over real connections. */
import { createServer } from 'node:http';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { AgentService, agentPath, protocolVersion } from '../src/agent-protocol/index.ts';
import { changeBuilder, LyingUploadError, listBuilders, renewBuilderToken } from '../src/builders/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/postgres/test-database.ts';
import {
  addAgent,
  askFor,
  out,
  type SessionServer,
  startSessionServer,
  startTestAgent,
  type TestAgent,
} from './support/agent-sessions.ts';

let database: TestDatabase;
const servers: SessionServer[] = [];
const agents: TestAgent[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.stop()));
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function server(
  ...options: Parameters<typeof startSessionServer> extends [unknown, ...infer R] ? R : never
) {
  const started = await startSessionServer(database.knex, ...options);
  servers.push(started);
  return started;
}

async function agent(...options: Parameters<typeof startTestAgent>) {
  const started = await startTestAgent(...options);
  agents.push(started);
  return started;
}

const accepting = (there: SessionServer) =>
  expect.poll(() => there.fleet.list().filter((builder) => builder.accepting).length).toBe(1);

test('a build lands on the agent, its log comes line by line, its end with its outputs', async () => {
  const here = await server();
  const one = await agent(here.url, await addAgent(database.knex, 'lands'));
  await accepting(here);
  const attempt = askFor(here.fleet);
  await expect.poll(() => one.building.length).toBe(1);
  one.building[0]?.print('hello');
  await expect.poll(() => attempt.lines).toEqual(['hello']);
  one.building[0]?.print('x'.repeat(200_000));
  one.building[0]?.end();
  expect(await attempt.result).toMatchObject({ status: 'built', outputs: { out } });
  expect(attempt.lines.map((line) => line.length)).toEqual([5, 200_000]);
});

test('a check is built as one, and nothing is uploaded', async () => {
  const here = await server();
  const uploads = async () => {
    throw new Error('nothing is to be uploaded');
  };
  const one = await agent(here.url, await addAgent(database.knex, 'checks'), { uploads });
  await accepting(here);
  const attempt = askFor(here.fleet, { check: true });
  await expect.poll(() => one.building.map(({ check }) => check)).toEqual([true]);
  one.building[0]?.end();
  expect(await attempt.result).toMatchObject({ status: 'built', outputs: {} });
});

test('a cancelled build is stopped on the agent', async () => {
  const here = await server();
  const one = await agent(here.url, await addAgent(database.knex, 'cancelled'));
  await accepting(here);
  const attempt = askFor(here.fleet);
  await expect.poll(() => one.building.length).toBe(1);
  attempt.cancel();
  expect((await attempt.result).status).toBe('cancelled');
  expect(one.building[0]?.cancelled).toBe(true);
});

test('an agent offers what it has, as far as its registration allows', async () => {
  const here = await server();
  const allowed = { agent: { systems: ['x86_64-linux'], features: ['kvm', 'gpu'], slots: 1 } };
  await agent(here.url, await addAgent(database.knex, 'limited', allowed));
  await accepting(here);
  expect(here.fleet.list()[0]).toMatchObject({ systems: ['x86_64-linux'], features: ['kvm'], slots: 1 });
  // An operator allows more, and then whatever it offers, while it is connected.
  await changeBuilder(database.knex, 'limited', { slots: 9, systems: ['i686-linux'] });
  here.hub.look();
  const now = () => here.fleet.list()[0];
  await expect.poll(now).toMatchObject({ systems: ['i686-linux'], features: ['kvm'], slots: 2 });
  await changeBuilder(database.knex, 'limited', { systems: null, features: null, slots: null });
  here.hub.look();
  const all = { systems: ['x86_64-linux', 'i686-linux'], features: ['big-parallel', 'kvm'], slots: 2 };
  await expect.poll(now).toMatchObject(all);
});

test('a server that restarts finds the build where it was, and gets its whole log', async () => {
  let here = await server();
  const one = await agent(here.url, await addAgent(database.knex, 'resumed'));
  await accepting(here);
  const before = askFor(here.fleet, { attemptId: 4711 });
  await expect.poll(() => one.building.length).toBe(1);
  one.building[0]?.print('before');
  await expect.poll(() => before.lines).toEqual(['before']);
  const { port } = new URL(here.url);
  await servers.pop()?.close();
  one.building[0]?.print('meanwhile');
  const adopted: ReturnType<typeof askFor>[] = [];
  here = await server({
    port: Number(port),
    adopt: async (builder, ids) => {
      const fleet = { ...here.fleet, list: () => [builder] };
      adopted.push(askFor(fleet, { attemptId: ids[0] ?? 0 }));
      return ids;
    },
  });
  await expect.poll(() => adopted[0]?.lines, { timeout: 30_000 }).toEqual(['before', 'meanwhile']);
  one.building[0]?.end();
  expect((await adopted[0]?.result)?.status).toBe('built');
  expect(one.building).toHaveLength(1);
});

test('what nobody adopts is stopped', async () => {
  let here = await server();
  const one = await agent(here.url, await addAgent(database.knex, 'orphaned'));
  await accepting(here);
  askFor(here.fleet);
  await expect.poll(() => one.building.length).toBe(1);
  const { port } = new URL(here.url);
  await servers.pop()?.close();
  here = await server({ port: Number(port) });
  await expect.poll(() => one.building[0]?.cancelled, { timeout: 30_000 }).toBe(true);
});

test('an agent that is started anew has lost its builds, and they are given back at once', async () => {
  const here = await server();
  const token = await addAgent(database.knex, 'restarted');
  const first = await agent(here.url, token);
  await accepting(here);
  const attempt = askFor(here.fleet);
  await expect.poll(() => first.building.length).toBe(1);
  await agent(here.url, token);
  expect(await attempt.result).toMatchObject({ status: 'builder-lost' });
  await expect(first.ended).rejects.toThrow(/same token/);
});

test('an agent that stays away longer than its lease has lost its builds', async () => {
  const here = await server({ leaseSeconds: 1 });
  const token = await addAgent(database.knex, 'away');
  // Cut off without a word: its process was killed.
  const cut = new AbortController();
  const client = clientFor(here, token);
  const { session } = await client.register(claims());
  const stream = client.assignments({ session }, { signal: cut.signal })[Symbol.asyncIterator]();
  await stream.next();
  const attempt = askFor(here.fleet);
  await stream.next();
  cut.abort();
  expect(await attempt.result).toMatchObject({ status: 'builder-lost', message: /away/ });
  expect(here.fleet.list()).toEqual([]);
});

test('an ephemeral agent ends after its builds, or when there is nothing to do', async () => {
  const here = await server();
  const one = await agent(here.url, await addAgent(database.knex, 'ephemeral'), { maxBuilds: 1 });
  await accepting(here);
  const attempt = askFor(here.fleet);
  await expect.poll(() => one.building.length).toBe(1);
  one.building[0]?.end();
  await one.ended;
  expect((await attempt.result).status).toBe('built');
  expect(here.fleet.list()).toEqual([]);
  const idle = await agent(here.url, await addAgent(database.knex, 'idle'), { maxIdleSeconds: 0.1 });
  await idle.ended;
});

test('a drained agent finishes what it has', async () => {
  const here = await server();
  const one = await agent(here.url, await addAgent(database.knex, 'drained'));
  await accepting(here);
  const attempt = askFor(here.fleet);
  await expect.poll(() => one.building.length).toBe(1);
  one.drain();
  await expect.poll(() => here.fleet.list()[0]?.accepting).toBe(false);
  one.building[0]?.end();
  await one.ended;
  expect((await attempt.result).status).toBe('built');
});

test('an agent that lies about what it uploaded gets nothing more, and the operator is told', async () => {
  const lie = async () => {
    throw new LyingUploadError('the hash of /nix/store/… is another one');
  };
  const here = await server({
    store: { prepare: async () => ({ derivation: Buffer.from(''), inputs: [] }), collect: lie },
  });
  const one = await agent(here.url, await addAgent(database.knex, 'liar'));
  await accepting(here);
  const attempt = askFor(here.fleet);
  await expect.poll(() => one.building.length).toBe(1);
  one.building[0]?.end();
  expect((await attempt.result).status).toBe('infrastructure');
  expect(here.fleet.list()[0]?.accepting).toBe(false);
  const row = await database.knex('builders').where({ name: 'liar' }).first();
  expect(row).toMatchObject({ enabled: false, last_error: /Quarantined: the hash/ });
});

test('an agent under pressure gets nothing more, and says why', async () => {
  const here = await server({ pressureLimit: 80 });
  const client = clientFor(here, await addAgent(database.knex, 'busy'));
  const { session } = await client.register(claims());
  const cut = new AbortController();
  await client.assignments({ session }, { signal: cut.signal })[Symbol.asyncIterator]().next();
  expect(here.fleet.list()[0]?.accepting).toBe(true);
  const builder = async () => (await listBuilders(database.knex)).find(({ name }) => name === 'busy');
  await client.heartbeat({ session, load: { ioPressure: 80.4, memoryPressure: 12 } });
  expect(here.fleet.list()[0]?.accepting).toBe(false);
  await expect
    .poll(async () => (await builder())?.withheld)
    .toBe('disk pressure 81 % for 10 s; the limit is 80 %');
  await client.heartbeat({ session, load: { ioPressure: 79 } });
  expect(here.fleet.list()[0]?.accepting).toBe(true);
  await expect.poll(async () => (await builder())?.withheld).toBeUndefined();
  expect((await builder())?.load).toMatchObject({ ioPressure: 79 });
  cut.abort();
});

test('a wrong token, one that was replaced, a removed builder and another version are refused in words', async () => {
  const here = await server();
  const wrong = await agent(here.url, 'rma_wrong');
  await expect(wrong.ended).rejects.toThrow(/belongs to no builder/);
  const token = await addAgent(database.knex, 'versions');
  await expect(clientFor(here, token).register({ ...claims(), protocolVersion: 0 })).rejects.toThrow(
    /update the agent/,
  );
  const replaced = await agent(here.url, token);
  await accepting(here);
  const next = await renewBuilderToken(database.knex, 'versions');
  await here.hub.report();
  await expect(replaced.ended).rejects.toThrow(/replaced by a new one|no builder/);
  const removed = await agent(here.url, next);
  await accepting(here);
  await database.knex('builders').where({ name: 'versions' }).update({ removed_at: new Date() });
  await here.hub.report();
  await expect(removed.ended).rejects.toThrow(/removed|no builder/);
});

test('an agent that was given the address of something else says so, and ends', async () => {
  const answers = [
    [404, {}, /not a Ringmaster server/],
    [200, { 'content-type': 'text/html' }, /not a Ringmaster server/],
    [301, { location: 'https://ci.example.org/' }, /sends elsewhere/],
  ] as const;
  for (const [status, headers, words] of answers) {
    const other = createServer((_request, answer) => answer.writeHead(status, headers).end('<h1>hello</h1>'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const one = await agent(`http://127.0.0.1:${port}`, 'rma_any');
    await expect(one.ended).rejects.toThrow(words);
    other.close();
  }
});

test('pieces of a log that come twice or too early change nothing', async () => {
  const here = await server();
  const client = clientFor(here, await addAgent(database.knex, 'pieces'));
  const { session } = await client.register(claims());
  const cut = new AbortController();
  const stream = client.assignments({ session }, { signal: cut.signal })[Symbol.asyncIterator]();
  await stream.next();
  const { lines } = askFor(here.fleet, { attemptId: 99 });
  await stream.next();
  const append = async (offset: number, text: string) => {
    const data = Buffer.from(text);
    const answer = await client.appendLog({ session, attempt: 99n, offset: BigInt(offset), data });
    return Number(answer.nextOffset);
  };
  expect(await append(0, 'one\ntw')).toBe(6);
  expect(await append(9, 'early')).toBe(6);
  expect(await append(0, 'one\ntw')).toBe(6);
  expect(await append(4, 'two\nthree\n')).toBe(14);
  expect(lines).toEqual(['one', 'two', 'three']);
  cut.abort();
});

function clientFor(here: SessionServer, token: string) {
  const transport = createConnectTransport({
    httpVersion: '1.1',
    baseUrl: `${here.url}${agentPath}`,
    interceptors: [
      (next) => (request) => {
        request.header.set('authorization', `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return createClient(AgentService, transport);
}

function claims() {
  return {
    protocolVersion,
    version: '0',
    machineId: 'm',
    instanceId: crypto.randomUUID(),
    systems: ['x86_64-linux'],
    slots: 4,
  };
}
