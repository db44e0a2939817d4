/** Agents as operators see them: real ones, with stores of their own, behind a server that builds nothing itself. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { startTestProxy } from '../src/agent/test-proxy.ts';
import { nixesUnderTest } from '../src/nix/test-nix.ts';
import { type GitHubDouble, startGitHubDouble } from './github-double/index.ts';
import {
  type AgentFolder,
  type AgentProcess,
  newAgentFolder,
  ringmaster,
  startAgentProcess,
} from './support/agent-process.ts';
import { certificateFile, secureHost, startTlsFront } from './support/loopback-tls.ts';
import { ciNix } from './support/nix-files.ts';
import { newDataDir, type Product, startProduct } from './support/product.ts';
import { conclusions, verdictOn } from './support/verdict.ts';

let double: GitHubDouble;
let data: Awaited<ReturnType<typeof newDataDir>>;
let product: Product;
let port = '0';
const agents: AgentProcess[] = [];
const folders: AgentFolder[] = [];
/** What stands between agents and the server. */
const between: { close(): Promise<void> }[] = [];

const env = {
  RINGMASTER_BUILDS_SLOTS: '0',
  RINGMASTER_BUILDS_AGENT_LEASE: '4',
  RINGMASTER_BUILDS_PSI_THRESHOLD: '101',
  RINGMASTER_BUILDS_LOST_TIMEOUT: '1',
};

async function start(): Promise<void> {
  product = await startProduct({ double, dataDir: data.path, env, args: ['--port', port] });
  port = new URL(product.url).port;
}

beforeAll(async () => {
  double = await startGitHubDouble();
  data = await newDataDir();
  await start();
});
afterEach(async () => {
  const ending = agents.splice(0);
  for (const agent of ending) agent.signal('SIGKILL');
  await Promise.all(ending.map((agent) => agent.exited));
  await Promise.all(between.splice(0).map((one) => one.close()));
  await Promise.all(folders.splice(0).map((folder) => folder.remove()));
});
afterAll(async () => {
  await product?.stop();
  await double?.close();
  await data?.remove();
});

/** Registers a builder with the command line of the server's machine; returns its token. */
async function addBuilder(name: string): Promise<string> {
  const added = await ringmaster(['builder', 'add', name, '--json'], { RINGMASTER_DATA_DIR: data.path });
  expect(added, added.stderr).toMatchObject({ status: 0 });
  return z.object({ token: z.string() }).parse(JSON.parse(added.stdout)).token;
}

async function startAgent(
  token: string,
  options: Partial<Pick<Parameters<typeof startAgentProcess>[0], 'args' | 'server' | 'env'>> = {},
): Promise<AgentProcess> {
  const folder = await newAgentFolder();
  folders.push(folder);
  const agent = await startAgentProcess({ server: product.url, ...options, token, folder: folder.path });
  agents.push(agent);
  return agent;
}

async function push(repo: string, body: string, files: Record<string, string> = {}): Promise<string> {
  await double.createRepository({ name: repo });
  const { sha } = await double.push({ repo, files: { ...files, 'ci.nix': ciNix(body) } });
  return sha;
}

/** Two agents of one story have one Nix each, where there are two. */
const newestNix = nixesUnderTest.at(-1) ?? { env: process.env };
const withFeature = (feature: string) => `substituters =\nsystem-features = ${feature}`;

test('builds land on agents that only a proxy lets out, inputs and outputs too; they end after as many as they were made for', async () => {
  const front = await startTlsFront(() => Number(port));
  const proxy = await startTestProxy({ 'ci.invalid:80': Number(port), [`${secureHost}:443`]: front.port });
  between.push(front, proxy);
  const [first, second] = await Promise.all([
    startAgent(await addBuilder('first'), {
      server: 'http://ci.invalid',
      args: ['--max-builds', '2'],
      env: { HTTP_PROXY: proxy.url, NO_PROXY: 'localhost', NIX_CONFIG: withFeature('first') },
    }),
    startAgent(await addBuilder('second'), {
      server: `https://${secureHost}`,
      args: ['--max-builds', '1'],
      env: {
        PATH: newestNix.env.PATH ?? '',
        HTTPS_PROXY: proxy.url,
        NODE_EXTRA_CA_CERTS: certificateFile,
        NIX_CONFIG: withFeature('second'),
      },
    }),
  ]);
  await Promise.all([first.connected, second.connected]);
  // What is in the repository comes out of the server's store, what one has built from there to the other.
  const sha = await push(
    'lands/acme',
    `rec {
      base = buildOn "first" "base" "echo from the agent; read line < \${./words}; echo $line > $out";
      top = buildOn "second" "top" "read line < \${base}; test $line = hello && echo > $out";
      bad = buildOn "first" "bad" "echo no; exit 3";
    }`,
    { words: 'hello\n' },
  );
  expect(conclusions(await verdictOn(double, sha))).toMatchObject({
    'ringmaster / base': 'success',
    'ringmaster / top': 'success',
    'ringmaster / bad': 'failure',
  });
  expect(await Promise.all([first.exited, second.exited])).toEqual([0, 0]);
  const asked = proxy.asked.join('\n');
  expect(asked).toContain(`CONNECT ${secureHost}:443`);
  expect(asked).toMatch(/^GET http:\/\/ci\.invalid\/cache\/nar\//m);
  expect(asked).toMatch(/^PUT http:\/\/ci\.invalid\/cache\/nar\//m);
});

test('two agents killed for good, one after the other: the build went elsewhere once, and ends with their names', async () => {
  const names = ['first-lost', 'second-lost'];
  const env = { NIX_CONFIG: withFeature('doomed') };
  const both = await Promise.all(names.map(async (name) => startAgent(await addBuilder(name), { env })));
  await Promise.all(both.map((agent) => agent.connected));
  const sha = await push(
    'lost/acme',
    '{ a = buildOn "doomed" "lost-a" "echo begun; sleep 900; echo > $out"; }',
  );
  const killed: string[] = [];
  for (const _ of names) {
    const next = async () => {
      if ((await idOf('lost-a')) === undefined) return undefined;
      const attempts = await attemptsOf('lost-a');
      return attempts.find(({ builder, state }) => state === 'running' && !killed.includes(builder));
    };
    const said = async () => {
      const attempt = await next();
      if (!attempt) return '';
      return (await product.get(`/api/v1/builds/${await idOf('lost-a')}/log?attempt=${attempt.id}`)).text();
    };
    await expect.poll(said).toMatch(/begun/);
    const builder = (await next())?.builder ?? '';
    both[names.indexOf(builder)]?.signal('SIGKILL');
    killed.push(builder);
  }
  expect([...killed].sort()).toEqual(names);
  expect(conclusions(await verdictOn(double, sha, 120_000))).toMatchObject({ 'ringmaster / a': 'failure' });
  const build = await product.json(`/api/v1/builds/${await idOf('lost-a')}`);
  expect(build).toMatchObject({ state: 'builder-lost', attempts: [{}, {}] });
  for (const name of names) expect(build).toMatchObject({ message: expect.stringContaining(`  ${name}, `) });
  expect(build).toMatchObject({ message: expect.stringContaining('ringmaster build restart') });
}, 180_000);

test('the server killed in the middle of a build: the agent goes on, and it is one attempt', async () => {
  const agent = await startAgent(await addBuilder('steady'));
  await agent.connected;
  const sha = await push(
    'restart/acme',
    '{ a = build "steady-a" "echo begun; sleep 6; echo done; echo > $out"; }',
  );
  await logged('steady-a');
  await product.kill();
  await start();
  expect(conclusions(await verdictOn(double, sha)).ringmaster).toBe('success');
  expect(await attemptsOf('steady-a')).toMatchObject([{ builder: 'steady', state: 'ended' }]);
  expect(await logOf('steady-a')).toBe('begun\ndone\n');
});

test('SIGTERM: the agent finishes what it has, through a relay between it and the server', async () => {
  const relay = await startRelay(Number(port));
  between.push(relay);
  const agent = await startAgent(await addBuilder('drained'), { server: relay.url });
  await agent.connected;
  const sha = await push('drain/acme', '{ a = build "drain-a" "echo begun; sleep 2; echo > $out"; }');
  await logged('drain-a');
  agent.signal('SIGTERM');
  expect(await agent.exited).toBe(0);
  expect(conclusions(await verdictOn(double, sha)).ringmaster).toBe('success');
});

test('a token of nobody is refused in words', async () => {
  const agent = await startAgent('rma_nobody');
  expect(await agent.exited).toBe(3);
  expect(agent.log.join('\n')).toMatch(/does not take this token/);
});

const itemsSchema = z.object({ items: z.array(z.object({ id: z.number(), name: z.string() })) });
const buildSchema = z.object({
  attempts: z.array(
    z.object({ id: z.number(), builder: z.string(), state: z.string(), startedAt: z.string() }),
  ),
});

const buildIds = new Map<string, number>();

async function idOf(name: string): Promise<number | undefined> {
  const { items } = itemsSchema.parse(await product.json('/api/v1/queue?limit=100'));
  for (const item of items) buildIds.set(item.name, item.id);
  return buildIds.get(name);
}

async function attemptsOf(name: string) {
  const { attempts } = buildSchema.parse(await product.json(`/api/v1/builds/${await idOf(name)}`));
  return attempts.sort((a, b) => a.startedAt.localeCompare(b.startedAt));
}

async function logOf(name: string): Promise<string> {
  return (await product.get(`/api/v1/builds/${await idOf(name)}/log`)).text();
}

/** Waits until a running build has printed something. */
async function logged(name: string): Promise<void> {
  await expect
    .poll(async () => ((await idOf(name)) === undefined ? '' : logOf(name)), { timeout: 30_000 })
    .toMatch(/begun/);
}

/** Passes bytes on, as a load balancer does that looks into nothing. */
async function startRelay(target: number): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((incoming) => {
    const outgoing = connect(target, '127.0.0.1');
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    incoming.pipe(outgoing).pipe(incoming);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
