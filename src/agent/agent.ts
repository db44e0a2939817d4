/**
 * The agent: takes assignments from a server, builds them here, and reports.
 *
 *   working -> draining (asked to, or its time is over: finishes what runs, takes nothing new) -> ended
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { durationMs } from '@bufbuild/protobuf/wkt';
import {
  type AssignmentsResponse,
  type Build,
  protocolVersion,
  type RegisterResponse,
} from '../agent-protocol/index.ts';
import { type Logger, messageOf } from '../basics/index.ts';
import { type RunningBuild, startBuild } from './attempt.ts';
import type { AgentClient } from './connection.ts';
import { machineId, measureLoad } from './machine.ts';
import { openServerLink, type ServerLink } from './server-link.ts';
import type { Workshop } from './workshop.ts';

export interface AgentOptions {
  readonly client: AgentClient;
  readonly workshop: Workshop;
  /** Of this program. */
  readonly version: string;
  /** For people; the server knows the builder by its token. */
  readonly name: string;
  /** Builds at the same time. */
  readonly slots: number;
  /** The agent ends after so many builds. What is on its way to it by then is built, too. */
  readonly maxBuilds?: number;
  /** Seconds without a build after which the agent ends. */
  readonly maxIdleSeconds?: number;
  /** Seconds after which the agent takes no more builds. */
  readonly maxLifetimeSeconds?: number;
  /** For the machine's id and the logs that the server does not have yet. */
  readonly stateDir: string;
  /** Asks to finish what runs and end. */
  readonly drain: AbortSignal;
  /** Asks to stop what runs, too. */
  readonly stop: AbortSignal;
  /** Called at each new session, with the name by which the server knows this builder. */
  readonly onConnected?: (builder: string) => void;
  readonly log: Logger;
}

/** Runs until it is drained or stopped. Rejects with an OperatorError when the server refuses it for good. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { workshop, log } = options;
  const instanceId = randomUUID();
  const machine = await machineId(options.stateDir);
  const folder = join(options.stateDir, `logs-${instanceId}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });

  const builds = new Map<bigint, RunningBuild>();
  let taken = 0;
  let draining = false;
  let heartbeats: NodeJS.Timeout | undefined;
  let idle: NodeJS.Timeout | undefined;
  let beating: Promise<void> | undefined;
  const timers: NodeJS.Timeout[] = [];
  let finish: () => void = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });

  const running = () =>
    [...builds.values()].map((build) => ({
      attempt: build.id,
      drvPath: build.drvPath,
      logBytes: BigInt(build.logBytes),
    }));

  const link: ServerLink = openServerLink({
    client: options.client,
    register: () =>
      options.client.register({
        protocolVersion,
        version: options.version,
        name: options.name,
        machineId: machine,
        instanceId,
        systems: [...workshop.systems],
        features: [...workshop.features],
        slots: Math.min(options.slots, options.maxBuilds ?? options.slots),
        nixVersion: workshop.nixVersion,
        storeDir: workshop.storeDir,
        attempts: running(),
        draining,
      }),
    onUp: up,
    onMessage: hear,
    log,
  });

  function up(session: RegisterResponse): void {
    log.info({ builder: session.builder }, 'connected');
    options.onConnected?.(session.builder);
    clearInterval(heartbeats);
    heartbeats = setInterval(
      beat,
      session.heartbeatInterval ? Math.max(100, durationMs(session.heartbeatInterval)) : 10_000,
    );
    beat();
  }

  function beat(): void {
    if (!link.up) return;
    beating ??= tellHowItIs()
      .catch((error: unknown) => log.debug({ reason: messageOf(error) }, 'a heartbeat was lost'))
      .finally(() => {
        beating = undefined;
      });
  }

  async function tellHowItIs(): Promise<void> {
    const session = await link.session(options.stop);
    const load = await measureLoad(workshop.realStoreDir);
    const answer = await options.client.heartbeat({ session, load, attempts: running(), draining });
    for (const attempt of answer.cancel) builds.get(attempt)?.cancel();
  }

  function hear({ kind }: AssignmentsResponse): void {
    if (kind.case === 'drain') drain('the server asks for it');
    if (kind.case === 'cancel') builds.get(kind.value.attempt)?.cancel();
    if (kind.case === 'build' && !builds.has(kind.value.attempt)) take(kind.value);
  }

  function take(assigned: Build): void {
    clearTimeout(idle);
    taken += 1;
    const build = startBuild({ build: assigned, workshop, link, folder, stop: options.stop, log });
    builds.set(build.id, build);
    void build.done.then(() => {
      builds.delete(build.id);
      rest();
    });
    if (options.maxBuilds !== undefined && taken >= options.maxBuilds) drain('it has built enough');
  }

  /** Nothing runs: the end of a drained agent, the beginning of idleness for the others. */
  function rest(): void {
    if (builds.size > 0) return;
    if (draining) finish();
    if (draining || options.maxIdleSeconds === undefined) return;
    clearTimeout(idle);
    idle = setTimeout(() => drain('nothing to build'), options.maxIdleSeconds * 1000);
  }

  function drain(reason: string): void {
    if (draining) return;
    draining = true;
    log.info({ reason, running: builds.size }, 'draining');
    beat();
    rest();
  }

  options.drain.addEventListener('abort', () => drain('it was told to'), { once: true });
  options.stop.addEventListener('abort', () => finish(), { once: true });
  if (options.maxLifetimeSeconds !== undefined) {
    timers.push(setTimeout(() => drain('its time is over'), options.maxLifetimeSeconds * 1000));
  }
  rest();
  if (options.drain.aborted) drain('it was told to');
  try {
    await Promise.race([finished, link.ended]);
    for (const build of builds.values()) build.cancel();
    await beating;
    await leave(options, link);
  } finally {
    for (const timer of [...timers, heartbeats, idle]) clearTimeout(timer);
    link.stop();
    if (options.stop.aborted) await Promise.all([...builds.values()].map((build) => build.done));
    await rm(folder, { recursive: true, force: true });
  }
}

/** Tells the server, so that it need not wait for us to come back. */
async function leave(options: AgentOptions, link: ServerLink): Promise<void> {
  if (!link.up) return;
  const soon = AbortSignal.timeout(5_000);
  const session = await link.session(soon);
  await options.client.deregister({ session }, { signal: soon }).catch(() => {});
}
