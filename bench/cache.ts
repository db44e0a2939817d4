/**
 * What the binary cache serves: narinfo files and NARs a second, and how long `nix copy --from` takes
 * for many small paths. Beside it, where nginx is installed, the same from files that `nix copy` made:
 *
 *   npx tsx bench/cache.ts [--paths 1000] [--rounds 3] [--seconds 3]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createSocket } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import fastify from 'fastify';
import { runProcess } from '../src/basics/index.ts';
import { silentLogger } from '../src/basics/logging.ts';
import { openCache, openCacheClient, parseSecretKey } from '../src/cache/index.ts';
import { generateSecretKey } from '../src/cache/signing.ts';
import { copyClosure, detectNix, openLocalStore } from '../src/nix/index.ts';
import { registerCache } from '../src/web/cache-routes.ts';
import { median, row } from './report.ts';

const { values } = parseArgs({
  options: {
    paths: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
  },
});
const paths = Number(values.paths);
const rounds = Number(values.rounds);
const duration = Number(values.seconds);
const folder = await mkdtemp('/var/tmp/ringmaster-bench-cache-');
const log = silentLogger();
const open = (name: string) =>
  detectNix(process.env, {
    home: join(folder, name, 'home'),
    sandbox: 'required',
    store: join(folder, name, 'store'),
    config: 'substituters =',
  });

const nix = await open('server');
const run = async (program: keyof typeof nix.programs, ...args: string[]) => {
  const result = await runProcess(nix.programs[program], args, { env: nix.environment });
  if (result.exitCode !== 0) throw new Error(`${program}: ${result.stderr}`);
  return result.stdout.trim();
};
const newNix = (...args: string[]) => run('nix', '--extra-experimental-features', 'nix-command', ...args);

/** A file that refers to many small ones, and a large one. */
async function makePaths() {
  const drvPaths = await run(
    'nix-instantiate',
    '--expr',
    `let
      small = builtins.genList (n: builtins.toFile "small-\${toString n}" (toString n)) ${paths};
      make = name: needed: script: derivation {
        inherit name needed; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
      };
    in [
      (make "all" small "echo $needed > $out")
      (make "hundred" (builtins.genList (builtins.elemAt small) 99) "echo $needed > $out")
      (make "large" [ ] "head -c 1048000 /dev/urandom > $out")
    ]`,
  );
  const built = await run('nix-store', '--realise', ...drvPaths.split('\n'));
  const [all = '', hundred = '', large = ''] = built.split('\n');
  return { all, hundred, large };
}

async function freePort(): Promise<number> {
  const server = createSocket();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** nginx over what `nix copy` writes; undefined where it is not installed. */
async function startNginx(key: string, all: string, large: string) {
  const program = '/usr/sbin/nginx';
  const cache = join(folder, 'files');
  await writeFile(join(folder, 'secret'), key);
  await newNix('copy', '--to', `file://${cache}?compression=none&secret-key=${folder}/secret`, all, large);
  await runProcess('chmod', ['-R', 'a+rX', folder], { env: { PATH: process.env.PATH ?? '' } });
  const port = await freePort();
  const config = `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log /dev/null;
    events { worker_connections 1024; }
    http { access_log off; sendfile on; keepalive_requests 10000000;
      server { listen 127.0.0.1:${port}; root ${folder}/files; } }`;
  await writeFile(join(folder, 'nginx.conf'), config);
  const child: ChildProcess = spawn(program, ['-c', join(folder, 'nginx.conf')], { stdio: 'ignore' });
  const missing = new Promise<true>((resolve) => child.once('error', () => resolve(true)));
  const answers = async () => {
    for (let tries = 0; tries < 100; tries++) {
      const answer = await fetch(`http://127.0.0.1:${port}/nix-cache-info`).catch(() => undefined);
      if (answer?.ok) return false;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return true;
  };
  if (await Promise.race([missing, answers()])) return undefined;
  return { url: `http://127.0.0.1:${port}`, stop: () => child.kill() };
}

/** Requests a second. */
async function throughput(url: string, connections: number): Promise<number> {
  const result = await autocannon({ url, connections, duration, workers: 1 });
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${url}: ${result.non2xx} bad answers`);
  return result.requests.average;
}

/** NARs a second over 8 connections. autocannon reads large bodies more slowly than they are served. */
async function narThroughput(url: string): Promise<number> {
  const script = `
    const http = require('node:http');
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    const end = Date.now() + ${duration * 1000};
    let done = 0;
    const one = () => http.get('${url}', { agent }, (answer) => answer.resume().on('end', () => {
      done++;
      if (Date.now() < end) one();
    }));
    for (let n = 0; n < 8; n++) one();
    process.on('exit', () => process.stdout.write(String(done / ${duration})));
    setTimeout(() => process.exit(), ${duration * 1000});`;
  const result = await runProcess(process.execPath, ['-e', script], { env: {} });
  return Number(result.stdout);
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

const secret = generateSecretKey('bench-1');
const key = parseSecretKey(secret);
const store = openLocalStore({ nix, logger: log, overrides: { 'narinfo-cache-negative-ttl': '0' } });
const cache = openCache({
  dataDir: join(folder, 'data'),
  key,
  store: async () => ({ store, layout: nix.layout }),
  authorize: async () => undefined,
  mayUpload: async () => false,
  isResult: async () => false,
  onLie: () => {},
  isPublic: true,
  compression: 'none',
  trustedPublicKeys: [],
  maxNarBytes: 2 ** 30,
  environment: { PATH: process.env.PATH ?? '' },
  log,
});
const { all, hundred, large } = await makePaths();
const app = fastify();
await registerCache(app, cache.handle);
const ours = `${await app.listen({ port: 0, host: '127.0.0.1' })}/cache`;
const bare = createServer((request, response) => {
  void cache.handle(request, response, (request.url ?? '').slice('/cache/'.length));
});
const barePort = await freePort();
await new Promise<void>((resolve) => bare.listen(barePort, '127.0.0.1', resolve));
const nginx = await startNginx(secret, all, large);

const narInfoOf = (path: string) => `${path.slice(11, 43)}.narinfo`;
const narOf = async (base: string) =>
  /^URL: (.*)$/m.exec(await (await fetch(`${base}/${narInfoOf(large)}`)).text())?.[1] ?? '';
const bases: readonly (readonly [string, string])[] = [
  ['Ringmaster', ours],
  ['the same without Fastify', `http://127.0.0.1:${barePort}/cache`],
  ...(nginx ? [['nginx', nginx.url] as const] : []),
];

for (const [name, base] of bases) {
  const nar = await narOf(base);
  const rate = (value: number) => `${Math.round(value)}/s`;
  row(
    `narinfo, 1 connection, ${name}`,
    rate(await throughput(`${base}/${narInfoOf(large)}`, 1)),
    'harmonia 7,700/s',
  );
  row(
    `narinfo, 16 connections, ${name}`,
    rate(await throughput(`${base}/${narInfoOf(large)}`, 16)),
    'harmonia 10,800/s',
  );
  row(
    `NAR of 1 MiB, 8 connections, ${name}`,
    rate(await narThroughput(`${base}/${nar}`)),
    'harmonia 1,963/s',
  );
}

let target = 0;
const copyFrom = (base: string) =>
  seconds(() => {
    const to = join(folder, `target-${target++}`);
    return newNix('--option', 'trusted-public-keys', key.publicKey, 'copy', '--from', base, '--to', to, all);
  });
const times = new Map<string, number[]>();
for (let round = 0; round < rounds; round++) {
  for (const [name, base] of bases) times.set(name, [...(times.get(name) ?? []), await copyFrom(base)]);
}
const against = median(times.get('nginx') ?? []);
for (const [name, measured] of times) {
  const ratio = `${(median(measured) / against).toFixed(2)} x nginx`;
  row(`nix copy --from, ${paths} small paths, ${name}`, `${median(measured).toFixed(2)} s`, ratio);
}

const clientStore = openLocalStore({ nix: await open('client'), logger: log });
const client = openCacheClient({ url: ours, environment: { PATH: process.env.PATH ?? '' } });
const copied = { paths: 0 };
const took = await seconds(async () => {
  const result = await copyClosure({ from: client, to: clientStore, paths: [hundred], substitute: false });
  copied.paths = result.paths;
});
row(`our client, a closure of ${copied.paths} small paths`, `${took.toFixed(2)} s`, 'well under 1 s');

nginx?.stop();
bare.closeAllConnections();
bare.close();
await app.close();
await cache.close();
await clientStore.close();
await store.close();
await rm(folder, { recursive: true, force: true });
