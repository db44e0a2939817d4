/**
 * A connected agent as a builder. It lives on while the agent is away for a short while: then the
 * attempts go on where they were. When the agent stays away, they end as `builder-lost`.
 */
import type { Logger } from '../../basics/index.ts';
import { messageOf } from '../../basics/index.ts';
import type { AttemptRequest, Builder } from '../types.ts';
import { type AgentAttempt, type AgentResult, beginAttempt } from './agent-attempt.ts';
import type { BuilderRecord } from './records.ts';
import { type AgentLoad, type AgentMessage, type AgentStore, LyingUploadError } from './types.ts';

/** An agent that was told to stop a build has so long to say that it did. */
const cancelGraceMs = 10_000;

export interface AgentBuilderOptions {
  readonly record: BuilderRecord;
  readonly instanceId: string;
  readonly store: AgentStore;
  readonly maxLogBytes: number;
  /** Whether the server's own rules let it take builds: it is enabled, heard of, not too busy. */
  readonly allowed: () => boolean;
  /** The agent lied; nothing is to be given to it any more. */
  readonly quarantine: (reason: string) => Promise<void>;
  readonly log: Logger;
}

export interface AgentBuilder extends Builder {
  readonly instanceId: string;
  readonly attemptIds: readonly number[];
  readonly has: (attemptId: number) => boolean;
  update(record: BuilderRecord): void;
  heard(load: AgentLoad, draining: boolean): void;
  readonly load: AgentLoad | undefined;
  /** A stream is there: sends what waited. `running`: what the agent said it has. */
  attach(send: (message: AgentMessage) => void): void;
  detach(): void;
  /** Attempts the agent runs already; asked for next with `attempt`, they are not sent to it. */
  expect(attemptIds: readonly number[]): void;
  /** Of those, attempts that are somebody else's. */
  forget(attemptIds: readonly number[]): void;
  appendLog(attemptId: number, offset: number, bytes: Uint8Array, phase: string): number | undefined;
  complete(attemptId: number, result: AgentResult): Promise<boolean>;
  /** Everything on it ends as `builder-lost`. */
  lose(reason: string): void;
}

export function createAgentBuilder(options: AgentBuilderOptions): AgentBuilder {
  const { store, log } = options;
  let { record } = options;
  const attempts = new Map<number, AgentAttempt>();
  const running = new Set<number>();
  const completing = new Map<number, Promise<boolean>>();
  let send: ((message: AgentMessage) => void) | undefined;
  let load: AgentLoad | undefined;
  let agentDraining = false;

  async function assign(attempt: AgentAttempt): Promise<void> {
    const { request } = attempt;
    try {
      const { derivation, inputs } = await store.prepare(request.drvPath, request.derivation);
      if (attempt.over || attempt.told || !send) return;
      attempt.told = true;
      send({
        kind: { case: 'build', value: assignmentOf(request, derivation, inputs, options.maxLogBytes) },
      });
    } catch (error) {
      void attempt.end(troubled(`The derivation could not be sent to the agent: ${messageOf(error)}`));
    }
  }

  function cancel(attemptId: number, attempt: AgentAttempt): void {
    if (!send || !attempt.told) return void attempt.end(stopped);
    send({ kind: { case: 'cancel', value: { attempt: BigInt(attemptId) } } });
    const timer = setTimeout(() => void attempt.end(stopped), cancelGraceMs);
    void attempt.result.then(() => clearTimeout(timer));
  }

  /** What the agent says, checked. */
  async function verify(attempt: AgentAttempt, result: AgentResult): Promise<AgentResult> {
    if (attempt.request.signal.aborted) return stopped;
    if (result.status === 'cancelled') return troubled('The agent stopped the build.');
    if (attempt.request.check === true) return checked(result);
    if (!good.has(result.status)) return { ...result, outputs: {} };
    try {
      checkOutputs(attempt.request, result);
      await store.collect(Object.values(result.outputs));
      return result;
    } catch (error) {
      const reason = messageOf(error);
      if (error instanceof LyingUploadError) {
        log.error({ builder: record.name, attempt: attempt.request.attemptId, reason }, 'an agent lied');
        await options.quarantine(reason);
      }
      return troubled(`The outputs could not be taken from the agent: ${reason}`);
    }
  }

  return {
    id: record.id,
    kind: 'agent',
    instanceId: options.instanceId,
    get name() {
      return record.name;
    },
    get systems() {
      return record.systems;
    },
    get features() {
      return record.features;
    },
    get mandatoryFeatures() {
      return record.mandatoryFeatures;
    },
    get trustDomains() {
      return record.trustDomains;
    },
    get slots() {
      return record.slots;
    },
    get speed() {
      return record.speed;
    },
    get accepting() {
      return send !== undefined && !agentDraining && options.allowed();
    },
    get load() {
      return load;
    },
    get attemptIds() {
      return [...attempts.keys()];
    },
    has: (attemptId) => attempts.has(attemptId) || running.has(attemptId),
    probe: async () => {
      if (!send) throw new Error('The agent is not connected.');
    },
    update(next) {
      record = next;
    },
    heard(newest, draining) {
      load = newest;
      agentDraining = draining;
    },
    attach(next) {
      send = next;
      for (const attempt of attempts.values()) if (!attempt.told) void assign(attempt);
      for (const [id, attempt] of attempts) if (attempt.request.signal.aborted) cancel(id, attempt);
    },
    detach() {
      send = undefined;
    },
    expect(attemptIds) {
      for (const id of attemptIds) {
        const known = attempts.get(id);
        if (known) known.told = true;
        else running.add(id);
      }
    },
    forget(attemptIds) {
      for (const id of attemptIds) running.delete(id);
    },
    async attempt(request) {
      const { attemptId, signal } = request;
      const attempt = beginAttempt(request, options.maxLogBytes);
      attempt.told = running.delete(attemptId);
      attempts.set(attemptId, attempt);
      const onAbort = () => cancel(attemptId, attempt);
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      else if (!attempt.told) void assign(attempt);
      const result = await attempt.result;
      signal.removeEventListener('abort', onAbort);
      attempts.delete(attemptId);
      return result;
    },
    appendLog(attemptId, offset, bytes, phase) {
      const attempt = attempts.get(attemptId);
      if (!attempt || attempt.over) return undefined;
      if (phase !== '') attempt.request.onPhase?.(phase);
      return attempt.log(offset, bytes);
    },
    complete(attemptId, result) {
      const attempt = attempts.get(attemptId);
      const already = completing.get(attemptId);
      if (already || !attempt) return already ?? Promise.resolve(false);
      const ending = verify(attempt, result)
        .then((verified) => attempt.end(verified))
        .finally(() => completing.delete(attemptId));
      completing.set(attemptId, ending);
      return ending;
    },
    lose(reason) {
      running.clear();
      for (const attempt of attempts.values()) {
        void attempt.end({ status: 'builder-lost', message: reason, outputs: {}, checked: false });
      }
    },
    close: async () => {},
  };
}

const good = new Set(['built', 'substituted', 'already-valid']);
const stopped: AgentResult = { status: 'cancelled', message: '', outputs: {}, checked: false };

function troubled(message: string): AgentResult {
  return { status: 'infrastructure', message, outputs: {}, checked: false };
}

/** What was built to be compared brings nothing. */
function checked(result: AgentResult): AgentResult {
  if (result.checked) return { ...result, outputs: {} };
  return troubled('This agent is too old to build something again and compare: update it.');
}

function checkOutputs(request: AttemptRequest, result: AgentResult): void {
  const wanted = Object.entries(request.outputs);
  const fit = wanted.every(([name, path]) => {
    const given = result.outputs[name];
    return given !== undefined && (path === null || path === given);
  });
  if (fit && wanted.length === Object.keys(result.outputs).length) return;
  throw new LyingUploadError(`It named other outputs of ${request.drvPath} than the derivation has.`);
}

function assignmentOf(
  request: AttemptRequest,
  derivation: Uint8Array,
  inputs: readonly string[],
  maxLogBytes: number,
) {
  const outputs = Object.entries(request.outputs).map(([name, path]) => [name, path ?? '']);
  return {
    attempt: BigInt(request.attemptId),
    drvPath: request.drvPath,
    derivation: new Uint8Array(derivation),
    outputs: Object.fromEntries(outputs),
    inputs: [...inputs],
    check: request.check === true,
    limits: {
      timeoutSeconds: BigInt(request.timeoutSeconds),
      maxSilentSeconds: BigInt(request.maxSilentSeconds),
      maxLogBytes: BigInt(maxLogBytes),
    },
  };
}
