/**
 * The session with the server, kept alive over outages.
 *
 *   away -> registering -> up -> away (stream lost, server restarted: tried again, later each time)
 *   any  -> ended (stopped, or refused for good: token, protocol version, replaced by another agent)
 */
import { Code, ConnectError } from '@connectrpc/connect';
import type { AssignmentsResponse, RegisterResponse } from '../agent-protocol/index.ts';
import type { Logger } from '../basics/index.ts';
import type { AgentClient } from './connection.ts';
import { refusal, troubleOf } from './refusal.ts';
import { pause, retryDelayMs } from './retry.ts';

/** The server says something at least every 20 s; a proxy may have forgotten a connection that is silent. */
const silenceMs = 60_000;
/** A stream that does not begin is tried again so often before a new session is asked for. */
const streamTries = 5;

export interface ServerLinkOptions {
  readonly client: AgentClient;
  readonly register: () => Promise<RegisterResponse>;
  readonly onUp: (session: RegisterResponse) => void;
  readonly onMessage: (message: AssignmentsResponse) => void;
  readonly log: Logger;
}

export interface ServerLink {
  readonly up: boolean;
  /** Resolves with the session in force, at once or when there is one again. */
  session(signal: AbortSignal): Promise<string>;
  /** Asks the server; waits while it is away and asks again. Rejects with what it refuses for good. */
  call<T>(signal: AbortSignal, work: (client: AgentClient, session: string) => Promise<T>): Promise<T>;
  /** Resolves after `stop`; rejects with an OperatorError when the server will never have us. */
  readonly ended: Promise<void>;
  stop(): void;
}

export function openServerLink(options: ServerLinkOptions): ServerLink {
  const { client, log } = options;
  const stopping = new AbortController();
  let session: string | undefined;
  /** It has answered as a server of ours does. */
  let known = false;
  const waiters = new Set<() => void>();
  let refuse: (error: unknown) => void = () => {};
  const refused = new Promise<never>((_, reject) => {
    refuse = reject;
  });

  function became(next: string | undefined): void {
    session = next;
    if (next === undefined) return;
    for (const wake of waiters) wake();
    waiters.clear();
  }

  async function current(signal: AbortSignal): Promise<string> {
    while (session === undefined) {
      await new Promise<void>((resolve, reject) => {
        const ends = AbortSignal.any([signal, stopping.signal]);
        if (ends.aborted) return reject(ends.reason);
        const onAbort = () => reject(ends.reason);
        ends.addEventListener('abort', onAbort, { once: true });
        waiters.add(() => {
          ends.removeEventListener('abort', onAbort);
          resolve();
        });
      });
    }
    return session;
  }

  /** One session, from Register until it is lost; true when it had come up. */
  async function live(): Promise<boolean> {
    const answer = await options.register();
    known = true;
    const opened = await openStream(answer.session);
    became(answer.session);
    options.onUp(answer);
    try {
      for await (const message of opened) options.onMessage(message);
    } finally {
      if (session === answer.session) became(undefined);
    }
    return true;
  }

  /** The stream once its first message is there. */
  async function openStream(name: string): Promise<AsyncGenerator<AssignmentsResponse>> {
    for (let tries = 1; ; tries += 1) {
      const stream = follow(client, name, stopping.signal);
      try {
        const first = await stream.next();
        if (!first.done) options.onMessage(first.value);
        return stream;
      } catch (error) {
        const again = ConnectError.from(error).code === Code.Unavailable && tries < streamTries;
        if (!again) throw error;
        await pause(retryDelayMs(tries), stopping.signal);
      }
    }
  }

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; ) {
      const since = performance.now();
      try {
        await live();
        log.info('the server ended the session, connecting again');
      } catch (error) {
        if (stopping.signal.aborted) return;
        const fatal = refusal(error, known);
        if (fatal) throw fatal;
        log.warn({ reason: troubleOf(error) }, 'no session with the server, trying again');
      }
      failures = performance.now() - since > 30_000 ? 0 : failures + 1;
      await pause(retryDelayMs(failures), stopping.signal);
    }
  }

  const ended = Promise.race([run(), refused]).finally(() => stopping.abort(new Error('the agent ends')));
  ended.catch(() => {});
  return {
    get up() {
      return session !== undefined;
    },
    session: current,
    async call(signal, work) {
      for (let tries = 1; ; tries += 1) {
        const name = await current(signal);
        try {
          return await work(client, name);
        } catch (error) {
          signal.throwIfAborted();
          const { code } = ConnectError.from(error);
          if (code === Code.InvalidArgument || code === Code.ResourceExhausted) throw error;
          const fatal = refusal(error, known);
          if (fatal) refuse(fatal);
          // The session is over, and the stream is about to tell; the next one will do.
          if (code === Code.NotFound && session === name) became(undefined);
          await pause(retryDelayMs(tries), AbortSignal.any([signal, stopping.signal]));
        }
      }
    },
    ended,
    stop: () => stopping.abort(new Error('the agent ends')),
  };
}

/** The messages of a stream, which is given up when nothing comes for long. */
async function* follow(client: AgentClient, session: string, signal: AbortSignal) {
  const silent = new AbortController();
  const tooLong = () => silent.abort(new Error(`the server said nothing for ${silenceMs / 1000} s`));
  let timer = setTimeout(tooLong, silenceMs);
  try {
    const ends = AbortSignal.any([signal, silent.signal]);
    for await (const message of client.assignments({ session }, { signal: ends })) {
      clearTimeout(timer);
      timer = setTimeout(tooLong, silenceMs);
      yield message;
    }
  } finally {
    clearTimeout(timer);
  }
}
