/**
 * The agents that are connected to this server process, one session each.
 *
 *   registered (asked to open its stream) -> streaming -> away (for `leaseSeconds` at most, what runs
 *   on it goes on) -> streaming again with a new session, here or on another server | lost
 *
 * Sessions of a builder are counted in the database; what a session says that is not the newest one
 * is not believed, whichever server it was opened on.
 */
import { randomUUID, timingSafeEqual } from 'node:crypto';
import type { Knex } from 'knex';
import { type Logger, messageOf } from '../../basics/index.ts';
import type { BuilderFleet } from '../fleet.ts';
import type { AgentResult } from './agent-attempt.ts';
import { type AgentBuilder, createAgentBuilder } from './agent-builder.ts';
import { createMessageQueue, type MessageQueue } from './message-queue.ts';
import { oneAtATime } from './one-at-a-time.ts';
import {
  type BuilderRecord,
  beginSession,
  endSession,
  findAgentByToken,
  quarantineAgent,
  readAgents,
  reportAgents,
} from './records.ts';
import { AgentRefusal } from './refusal.ts';
import { hashToken } from './token.ts';
import type { AgentClaims, AgentLoad, AgentMessage, AgentStore } from './types.ts';
import { withheldFrom } from './withheld.ts';

export interface AgentHubOptions {
  readonly db: Knex;
  readonly processId: number;
  readonly fleet: BuilderFleet;
  readonly store: AgentStore;
  readonly maxLogBytes: number;
  /** Seconds that an agent may stay away before its attempts are given to others. */
  readonly leaseSeconds: number;
  readonly heartbeatSeconds: number;
  /** Per cent of pressure on processor, memory or disk above which an agent gets no more. */
  readonly pressureLimit: number;
  /** Says that agents still work on these attempts. */
  readonly renewLeases: (attemptIds: readonly number[]) => Promise<unknown>;
  /** Takes over attempts that began under a server that is gone; tells which. Its attempts follow by `attempt`. */
  readonly adopt: (builder: AgentBuilder, attemptIds: readonly number[]) => Promise<readonly number[]>;
  readonly log: Logger;
}

export interface AgentHub {
  readonly heartbeatSeconds: number;
  readonly leaseSeconds: number;
  register(token: string, claims: AgentClaims, running: readonly number[]): Promise<OpenedSession>;
  /** What the server wants of the agent, until the signal aborts or the session is over. */
  messages(token: string, session: string, signal: AbortSignal): AsyncGenerator<AgentMessage>;
  /** Returns attempts that the agent should stop. */
  heartbeat(token: string, session: string, news: Heartbeat): readonly number[];
  /** Returns where the next piece should begin, or undefined when no more is wanted. */
  appendLog(token: string, session: string, piece: LogPiece): number | undefined;
  complete(token: string, session: string, attemptId: number, result: AgentResult): Promise<boolean>;
  deregister(token: string, session: string): Promise<void>;
  /** Looks at what operators have decided, now. */
  look(): void;
  /** Writes what was heard and looks at what operators decided; also done every few seconds. */
  report(): Promise<void>;
  /** Ends all streams. What runs goes on with the agents, for the server that comes after. */
  close(): Promise<void>;
}

export interface OpenedSession {
  readonly session: string;
  readonly builder: string;
}

export interface Heartbeat {
  readonly load: AgentLoad;
  readonly running: readonly number[];
  readonly draining: boolean;
}

export interface LogPiece {
  readonly attemptId: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly phase: string;
}

/** One session of one agent. */
interface Session {
  readonly name: string;
  record: BuilderRecord;
  readonly builder: AgentBuilder;
  readonly queue: MessageQueue<AgentMessage>;
  streaming: boolean;
  heardAt: number;
  /** What was written last of why it gets no more. */
  told: string | undefined;
  /** Runs while the agent is away. */
  lease: NodeJS.Timeout | undefined;
}

const pingMs = 20_000;

export function createAgentHub(options: AgentHubOptions): AgentHub {
  const { db, fleet, log, processId } = options;
  /** By the id of the builder. */
  const sessions = new Map<number, Session>();
  let closing = false;

  function find(token: string, name: string): Session {
    const [process, builder] = name.split('.');
    const session = sessions.get(Number(builder));
    if (session && !tokenFits(session.record, token)) throw new AgentRefusal('unauthenticated', unknownToken);
    if (session?.name === name) return session;
    if (Number(process) !== processId)
      throw new AgentRefusal('elsewhere', 'Another server process has this session.');
    throw new AgentRefusal('no-session', 'This session is over.');
  }

  function mayBuild(session: () => Session | undefined): boolean {
    const found = session();
    if (!found || closing || !found.record.enabled || found.record.draining) return false;
    return withheld(found) === undefined;
  }

  function withheld({ builder, heardAt }: Session): string | undefined {
    return withheldFrom(builder.load, performance.now() - heardAt, options.pressureLimit);
  }

  async function register(
    token: string,
    claims: AgentClaims,
    running: readonly number[],
  ): Promise<OpenedSession> {
    const known = await findAgentByToken(db, token);
    const record = known && (await beginSession(db, known, claims, processId));
    if (!record) throw new AgentRefusal('unauthenticated', unknownToken);
    const before = sessions.get(record.id);
    if (before && before.record.generation > record.generation) {
      throw new AgentRefusal('no-session', 'A newer session was opened meanwhile.');
    }
    const same = before?.builder.instanceId === claims.instanceId;
    if (before) retire(before, same);
    const builder = before && same ? before.builder : newBuilder(record, claims.instanceId);
    builder.update(record);
    const session: Session = {
      name: `${processId}.${record.id}.${record.generation}.${randomUUID()}`,
      record,
      builder,
      queue: createMessageQueue(),
      streaming: false,
      heardAt: performance.now(),
      told: undefined,
      lease: undefined,
    };
    sessions.set(record.id, session);
    // An agent that does not open its stream is away from the beginning.
    awaitReturn(session);
    const others = running.filter((id) => !builder.attemptIds.includes(id));
    builder.expect(running);
    const adopted = others.length > 0 ? await options.adopt(builder, others) : [];
    builder.forget(others.filter((id) => !adopted.includes(id)));
    log.info({ builder: record.name, version: claims.version, running }, 'an agent registered');
    return { session: session.name, builder: record.name };
  }

  function newBuilder(record: BuilderRecord, instanceId: string): AgentBuilder {
    return createAgentBuilder({
      record,
      instanceId,
      store: options.store,
      maxLogBytes: options.maxLogBytes,
      allowed: () => mayBuild(() => sessions.get(record.id)),
      quarantine: async (reason) => {
        await quarantineAgent(db, record.id, reason);
        await look();
      },
      log,
    });
  }

  /** Ends a session for one that replaces it. */
  function retire(session: Session, sameInstance: boolean): void {
    clearTimeout(session.lease);
    session.builder.detach();
    session.queue.end(
      sameInstance ? undefined : new AgentRefusal('replaced', 'Another agent came with the same token.'),
    );
    if (sameInstance) return;
    // Builds end with the agent that runs them; its successor knows nothing of them.
    session.builder.lose('The agent was started anew.');
    fleet.remove(session.builder);
  }

  function awaitReturn(session: Session): void {
    clearTimeout(session.lease);
    session.lease = setTimeout(() => void giveUp(session), options.leaseSeconds * 1000);
    session.lease.unref();
  }

  async function giveUp(session: Session): Promise<void> {
    try {
      const [now] = await readAgents(db, [session.record.id]);
      if (sessions.get(session.record.id) !== session || session.streaming) return;
      const elsewhere = now !== undefined && now.generation !== session.record.generation;
      await drop(session, elsewhere ? undefined : `The agent was away for ${options.leaseSeconds} s.`);
    } catch (error) {
      log.warn({ reason: messageOf(error), builder: session.record.name }, 'an absent agent is waited for');
      awaitReturn(session);
    }
  }

  /** `reason`: why what runs there is lost; undefined when another server has it now. */
  async function drop(session: Session, reason: string | undefined): Promise<void> {
    clearTimeout(session.lease);
    sessions.delete(session.record.id);
    session.queue.end();
    session.builder.detach();
    fleet.remove(session.builder);
    if (reason === undefined) return;
    log.warn({ builder: session.record.name, reason }, 'an agent is gone');
    session.builder.lose(reason);
    await endSession(db, session.record.id, session.record.generation);
  }

  async function* messages(token: string, name: string, signal: AbortSignal): AsyncGenerator<AgentMessage> {
    const session = find(token, name);
    if (session.streaming) throw new AgentRefusal('no-session', 'This session has a stream already.');
    clearTimeout(session.lease);
    session.streaming = true;
    session.queue.push(ping);
    if (session.record.draining) session.queue.push(drain);
    session.builder.attach((message) => session.queue.push(message));
    fleet.add(session.builder);
    const pinging = setInterval(() => session.queue.push(ping), pingMs);
    try {
      yield* session.queue.read(signal);
    } finally {
      clearInterval(pinging);
      session.streaming = false;
      if (sessions.get(session.record.id) === session) {
        session.builder.detach();
        if (!closing) awaitReturn(session);
        fleet.changed();
      }
    }
  }

  /** Reads what operators have decided, and what became of agents that went to another server. */
  async function look(): Promise<void> {
    const records = await readAgents(db, [...sessions.keys()]);
    for (const record of records) {
      const session = sessions.get(record.id);
      if (!session || record.generation < session.record.generation) continue;
      if (record.generation > session.record.generation) await drop(session, undefined);
      else if (record.removed || !record.tokenHash) await dismiss(session, 'This builder was removed.');
      else if (!session.record.tokenHash?.equals(record.tokenHash)) {
        await dismiss(session, 'This token was replaced by a new one.');
      } else {
        if (record.draining && !session.record.draining) session.queue.push(drain);
        session.record = record;
        session.builder.update(record);
      }
    }
  }

  async function dismiss(session: Session, reason: string): Promise<void> {
    session.queue.end(new AgentRefusal('unauthenticated', reason));
    await drop(session, reason);
  }

  async function report(): Promise<void> {
    const present = [...sessions.values()].filter((session) => session.streaming);
    const news = present.flatMap((session) => {
      const { id, generation } = session.record;
      const { load } = session.builder;
      session.told = withheld(session);
      return load ? [{ id, generation, load, withheld: session.told ?? null }] : [];
    });
    const running = present.flatMap(({ builder }) => builder.attemptIds).sort((a, b) => a - b);
    await reportAgents(db, news);
    if (running.length > 0) await options.renewLeases(running);
    await look();
    fleet.changed();
  }

  const reports = oneAtATime(async () => {
    if (sessions.size === 0) return;
    await report().catch((error: unknown) =>
      log.warn({ reason: messageOf(error) }, 'what agents said could not be kept'),
    );
  });
  const timer = setInterval(reports.ask, options.heartbeatSeconds * 1000);
  timer.unref();

  return {
    heartbeatSeconds: options.heartbeatSeconds,
    leaseSeconds: options.leaseSeconds,
    register,
    messages,
    heartbeat(token, name, { load, running, draining }) {
      const session = find(token, name);
      const could = session.builder.accepting;
      session.heardAt = performance.now();
      session.builder.heard(load, draining);
      if (session.builder.accepting && !could) fleet.changed();
      // People are told at once of what begins or ends; the figures in it may wait.
      if ((withheld(session) === undefined) !== (session.told === undefined)) reports.ask();
      return running.filter((id) => !session.builder.has(id));
    },
    appendLog(token, name, piece) {
      const { builder } = find(token, name);
      return builder.appendLog(piece.attemptId, piece.offset, piece.bytes, piece.phase);
    },
    complete: async (token, name, attemptId, result) => find(token, name).builder.complete(attemptId, result),
    async deregister(token, name) {
      await drop(find(token, name), 'The agent was ended.');
    },
    look() {
      look().catch((error: unknown) =>
        log.warn({ reason: messageOf(error) }, 'agents could not be looked at'),
      );
    },
    report,
    async close() {
      closing = true;
      clearInterval(timer);
      await reports.stop();
      for (const session of sessions.values()) {
        clearTimeout(session.lease);
        session.queue.end();
      }
    },
  };
}

const unknownToken = 'it belongs to no builder.';
const ping: AgentMessage = { kind: { case: 'ping', value: {} } };
const drain: AgentMessage = { kind: { case: 'drain', value: {} } };

function tokenFits(record: BuilderRecord, token: string): boolean {
  return record.tokenHash !== null && timingSafeEqual(record.tokenHash, hashToken(token));
}
