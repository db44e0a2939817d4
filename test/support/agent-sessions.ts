/** Servers and agents that talk for real; only the machine's Nix is a stand-in, which builds when it is told. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify from 'fastify';
import { type AgentOptions, connectToServer, runAgent, type Workshop } from '../../src/agent/index.ts';
import { silentLogger } from '../../src/basics/index.ts';
import {
  type AgentHub,
  type AgentHubOptions,
  type AttemptRequest,
  type AttemptResult,
  type BuilderFleet,
  createAgentHub,
  createBuilderFleet,
  hashToken,
  newAgentToken,
} from '../../src/builders/index.ts';
import type { Knex } from '../../src/postgres/index.ts';
import { mountAgents } from '../../src/server/agents.ts';

export const out = '/nix/store/00000000000000000000000000000000-out';
export const drv = '/nix/store/11111111111111111111111111111111-test.drv';

export interface SessionServer {
  readonly url: string;
  readonly hub: AgentHub;
  readonly fleet: BuilderFleet;
  close(): Promise<void>;
}

/** A server process as agents see it. */
export async function startSessionServer(
  db: Knex,
  options: Partial<AgentHubOptions> & { readonly port?: number } = {},
): Promise<SessionServer> {
  const fleet = createBuilderFleet();
  const [row] = await db('processes')
    .insert({ host: 'h', boot_id: 'b', pid_namespace: 'n', pid: 1, pid_started: 's', roles: ['web'] })
    .returning('id');
  const hub = createAgentHub({
    db,
    processId: row.id,
    fleet,
    store: { prepare: async () => ({ derivation: Buffer.from('drv'), inputs: [] }), collect: async () => {} },
    maxLogBytes: 0,
    leaseSeconds: 45,
    heartbeatSeconds: 10,
    pressureLimit: 101,
    renewLeases: async () => {},
    adopt: async () => [],
    log: silentLogger(),
    ...options,
  });
  const app = fastify();
  await mountAgents(app, () => hub, silentLogger());
  const url = await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  return { url, hub, fleet, close: () => app.close() };
}

/** A registered agent; returns its token. */
export async function addAgent(db: Knex, name: string, settings: object = {}): Promise<string> {
  const token = newAgentToken();
  await db('builders').insert({
    name,
    kind: 'agent',
    systems: [],
    slots: 1,
    source: 'api',
    token_hash: hashToken(token),
    settings: JSON.stringify(settings),
  });
  return token;
}

export interface TestAgent {
  /** Builds that were begun and not yet told to end. */
  readonly building: readonly TestBuild[];
  /** How often a session came up. */
  readonly sessions: number;
  readonly ended: Promise<void>;
  readonly stateDir: string;
  drain(): void;
  stop(): Promise<void>;
}

export interface TestBuild {
  readonly drvPath: string;
  /** It is to be compared with what is there. */
  readonly check: boolean;
  readonly cancelled: boolean;
  print(line: string): void;
  end(status?: 'built' | 'failed'): void;
}

/** An agent in this process. */
export async function startTestAgent(
  url: string,
  token: string,
  options: Partial<AgentOptions> & { readonly uploads?: () => Promise<void> } = {},
): Promise<TestAgent> {
  const stateDir = await mkdtemp(join(tmpdir(), 'ringmaster-agent-test-'));
  const building: TestBuild[] = [];
  const drain = new AbortController();
  const stop = new AbortController();
  let sessions = 0;
  const ended = runAgent({
    client: connectToServer({ server: url, token, environment: {} }),
    workshop: standIn(building, options.uploads),
    version: '0.0.0',
    name: 'test',
    slots: 2,
    stateDir,
    drain: drain.signal,
    stop: stop.signal,
    log: silentLogger(),
    ...options,
    onConnected: () => {
      sessions += 1;
    },
  });
  ended.catch(() => {});
  return {
    building,
    get sessions() {
      return sessions;
    },
    ended,
    stateDir,
    drain: () => drain.abort(),
    stop: async () => {
      stop.abort();
      await ended.catch(() => {});
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

function standIn(building: TestBuild[], uploads: () => Promise<void> = async () => {}): Workshop {
  return {
    nixVersion: '2.8.0',
    storeDir: '/nix/store',
    realStoreDir: tmpdir(),
    systems: ['x86_64-linux', 'i686-linux'],
    features: ['big-parallel', 'kvm'],
    fetchInputs: async () => {},
    upload: uploads,
    close: async () => {},
    build: (order, watcher) =>
      new Promise((resolve) => {
        watcher.signal.addEventListener('abort', () =>
          resolve({ status: 'cancelled', message: '', outputs: {} }),
        );
        building.push({
          drvPath: order.drvPath,
          check: order.check,
          get cancelled() {
            return watcher.signal.aborted;
          },
          print: (line) => watcher.onLogLine(Buffer.from(line)),
          end: (status = 'built') =>
            resolve({ status, message: '', outputs: status === 'built' ? { out } : {} }),
        });
      }),
  };
}

export interface TestAttempt {
  readonly lines: readonly string[];
  readonly result: Promise<AttemptResult>;
  cancel(): void;
}

let lastAttempt = 0;

/** Asks the one builder of a fleet for a build; its end counts as recorded at once. */
export function askFor(fleet: BuilderFleet, more: Partial<AttemptRequest> = {}): TestAttempt {
  const lines: string[] = [];
  const cancel = new AbortController();
  const [builder] = fleet.list();
  if (!builder) throw new Error('no builder is there');
  lastAttempt += 1;
  const result = builder
    .attempt({
      attemptId: lastAttempt,
      drvPath: drv,
      outputs: { out },
      signal: cancel.signal,
      timeoutSeconds: 0,
      maxSilentSeconds: 0,
      onLogLine: (line) => lines.push(line.toString()),
      ...more,
    })
    .then((ended) => {
      ended.onRecorded?.();
      return ended;
    });
  return { lines, result, cancel: () => cancel.abort() };
}
