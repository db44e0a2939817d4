/**
 * One attempt on an agent, as the server sees it.
 *
 *   unsent -> told (the agent has it, or will find it in its stream) -> completing (outputs are
 *   checked) -> over. Lost agents and cancelling end it from any state.
 */
import type { AttemptRequest, AttemptResult, AttemptStatus } from '../types.ts';

export interface AgentResult {
  readonly status: AttemptStatus;
  readonly message: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** It compared what came out with what was there. */
  readonly checked: boolean;
}

export interface AgentAttempt {
  readonly request: AttemptRequest;
  /** The agent is known to have it, or to have had it. */
  told: boolean;
  readonly over: boolean;
  /** Resolves with how it ended. Never rejects. */
  readonly result: Promise<AttemptResult>;
  /**
   * Takes a piece of the log; pieces that were taken before are skipped, and one that lies ahead is
   * not taken. Returns where the next one should begin.
   */
  log(offset: number, bytes: Uint8Array): number;
  /** Ends it; the first end counts. Resolves when that was recorded, to whether it was this one. */
  end(result: AgentResult): Promise<boolean>;
}

/** Bytes of a line that are held until its end comes; logs keep as many of one. */
const maxHeldBytes = 4 * 1024 * 1024;
/** Bytes by which agents may count otherwise than we do. */
const logSlack = 1024 * 1024;

/**
 * The log of an attempt that began under another server comes again, whole.
 * `maxLogBytes`: agents end builds that print more; of one that does not, no more is kept. 0: no limit.
 */
export function beginAttempt(request: AttemptRequest, maxLogBytes: number): AgentAttempt {
  const startedAt = new Date();
  const most = maxLogBytes === 0 ? Number.POSITIVE_INFINITY : maxLogBytes + logSlack;
  let received = 0;
  let rest: Buffer[] = [];
  let restBytes = 0;
  let over: Promise<boolean> | undefined;
  let settle: (result: AttemptResult) => void = () => {};
  const result = new Promise<AttemptResult>((resolve) => {
    settle = resolve;
  });

  function log(offset: number, bytes: Uint8Array): number {
    if (offset > received || offset + bytes.length <= received) return received;
    const fresh = Buffer.from(bytes.subarray(received - offset));
    received += fresh.length;
    if (received > most) return received;
    let from = 0;
    for (let end = fresh.indexOf(10); end !== -1; end = fresh.indexOf(10, from)) {
      request.onLogLine(Buffer.concat([...rest, fresh.subarray(from, end)]));
      rest = [];
      restBytes = 0;
      from = end + 1;
    }
    if (from < fresh.length) {
      rest.push(fresh.subarray(from));
      restBytes += fresh.length - from;
    }
    if (restBytes > maxHeldBytes) {
      request.onLogLine(Buffer.concat(rest));
      rest = [];
      restBytes = 0;
    }
    return received;
  }

  return {
    request,
    told: false,
    get over() {
      return over !== undefined;
    },
    result,
    log,
    end(ended) {
      if (over) return over.then(() => false);
      if (rest.length > 0) request.onLogLine(Buffer.concat(rest));
      over = new Promise<boolean>((resolve) => {
        const finishedAt = new Date();
        settle({ ...ended, startedAt, finishedAt, onRecorded: () => resolve(true) });
      });
      return over;
    },
  };
}
