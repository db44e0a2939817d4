/**
 * What connected agents cost a server that has nothing for them: memory and processor time of the
 * hub, its HTTP side and its database statements. The agents are Connect clients in a process of
 * their own. Needs DATABASE_URL, of a database that may be filled.
 *
 *   npx tsx bench/agents.ts [agents] [seconds]
 */
import { fork } from 'node:child_process';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import fastify from 'fastify';
import { AgentService, agentPath, protocolVersion } from '../src/agent-protocol/index.ts';
import { silentLogger } from '../src/basics/index.ts';
import { createAgentHub, createBuilderFleet, hashToken } from '../src/builders/index.ts';
import { migrate, openDatabase } from '../src/postgres/index.ts';
import { mountAgents } from '../src/server/agents.ts';

const [count = 500, seconds = 30] = process.argv.slice(2).map(Number);
const tokenOf = (number: number) => `rma_bench_${number}`;

if (process.env.BENCH_AGENTS_OF === undefined) await serve();
else await beAgents(process.env.BENCH_AGENTS_OF);

async function serve(): Promise<void> {
  const url = process.env.DATABASE_URL;
  if (url === undefined) throw new Error('DATABASE_URL is needed');
  const database = await openDatabase(url, silentLogger());
  await migrate(database, silentLogger());
  const db = database.knex;
  await db('builders').where('name', 'like', 'bench-%').delete();
  const rows = Array.from({ length: count }, (_, number) => ({
    name: `bench-${number}`,
    kind: 'agent',
    systems: [],
    slots: 1,
    source: 'api',
    token_hash: hashToken(tokenOf(number)),
  }));
  await db.batchInsert('builders', rows, 500);
  const [self] = await db('processes')
    .insert({ host: 'bench', boot_id: 'b', pid_namespace: 'n', pid: 1, pid_started: 's', roles: ['web'] })
    .returning('id');
  const fleet = createBuilderFleet();
  const hub = createAgentHub({
    db,
    processId: self.id,
    fleet,
    store: { prepare: () => Promise.reject(new Error('idle')), collect: async () => {} },
    maxLogBytes: 0,
    leaseSeconds: 45,
    heartbeatSeconds: 10,
    pressureLimit: 80,
    renewLeases: async () => {},
    adopt: async () => [],
    log: silentLogger(),
  });
  const app = fastify();
  await mountAgents(app, () => hub, silentLogger());
  const address = await app.listen({ host: '127.0.0.1', port: 0 });
  global.gc?.();
  const before = process.memoryUsage();
  const clients = fork(new URL(import.meta.url).pathname, [String(count), String(seconds)], {
    env: { ...process.env, BENCH_AGENTS_OF: address },
  });
  await new Promise<void>((resolve) => clients.once('message', () => resolve()));
  const cpu = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const used = process.cpuUsage(cpu);
  global.gc?.();
  const after = process.memoryUsage();
  const accepting = fleet.list().filter((builder) => builder.accepting).length;
  const megabytes = (bytes: number) => Math.round((bytes / 1024 / 1024) * 10) / 10;
  console.log(
    JSON.stringify({
      agents: count,
      accepting,
      seconds,
      cpuPercentOfOneCore: Math.round(((used.user + used.system) / 1e4 / seconds) * 10) / 10,
      rssGrowthMegabytes: megabytes(after.rss - before.rss),
      heapGrowthMegabytes: megabytes(after.heapUsed - before.heapUsed),
    }),
  );
  clients.kill();
  await app.close();
  await db('builders').where('name', 'like', 'bench-%').delete();
  await db('processes').where({ id: self.id }).delete();
  await database.close();
}

/** Registers, opens streams, and sends heartbeats as agents do. */
async function beAgents(address: string): Promise<void> {
  const begin = async (number: number) => {
    const transport = createConnectTransport({
      httpVersion: '1.1',
      baseUrl: `${address}${agentPath}`,
      useBinaryFormat: true,
      interceptors: [
        (next) => (request) => {
          request.header.set('authorization', `Bearer ${tokenOf(number)}`);
          return next(request);
        },
      ],
    });
    const client = createClient(AgentService, transport);
    const { session } = await client.register({
      protocolVersion,
      version: '0',
      machineId: `m${number}`,
      instanceId: `i${number}`,
      systems: ['x86_64-linux'],
      slots: 2,
    });
    const stream = client.assignments({ session })[Symbol.asyncIterator]();
    await stream.next();
    void (async () => {
      while (!(await stream.next()).done);
    })().catch(() => {});
    const beat = () => client.heartbeat({ session, load: { load1: 1, cpuPressure: 1 } }).catch(() => {});
    await beat();
    setInterval(beat, 10_000);
  };
  for (let from = 0; from < count; from += 25) {
    await Promise.all(Array.from({ length: Math.min(25, count - from) }, (_, at) => begin(from + at)));
  }
  process.send?.('ready');
}
