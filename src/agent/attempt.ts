/**
 * One assignment, from taking it to the server's acknowledgement of how it ended.
 *
 *   fetching inputs -> building -> uploading outputs -> reporting -> over
 *
 * The server may be away at any point: what needs it waits.
 */
import { join } from 'node:path';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type Build, maxLogPieceBytes } from '../agent-protocol/index.ts';
import { type Logger, messageOf } from '../basics/index.ts';
import { isGood, type RealiseResult, statusOfTrouble } from '../nix/index.ts';
import { type LogSpool, openLogSpool } from './log-spool.ts';
import { pause, retryDelayMs } from './retry.ts';
import type { ServerLink } from './server-link.ts';
import { pathsNeeded, type WorkOrder, type Workshop } from './workshop.ts';

/** Lines are gathered for so long before they are sent. */
const gatherMs = 200;
/** Fetching and uploading, while the server is there. */
const transferTries = 4;

export interface AttemptOptions {
  readonly build: Build;
  readonly workshop: Workshop;
  readonly link: ServerLink;
  /** For the log until it is acknowledged. */
  readonly folder: string;
  /** Ends everything, unreported. */
  readonly stop: AbortSignal;
  readonly log: Logger;
}

export interface RunningBuild {
  readonly id: bigint;
  readonly drvPath: string;
  readonly logBytes: number;
  /** Stops the build; its end is still reported. */
  cancel(): void;
  /** Resolves when the server has acknowledged the end, or after `stop`. Never rejects. */
  readonly done: Promise<void>;
}

export function startBuild(options: AttemptOptions): RunningBuild {
  const { build, log } = options;
  const cancel = new AbortController();
  let spool: LogSpool | undefined;
  const run = async () => {
    spool = await openLogSpool(join(options.folder, `${build.attempt}.log`));
    try {
      await carryOut(options, spool, cancel.signal);
    } finally {
      await spool.remove();
    }
  };
  const done = run().catch((error: unknown) => {
    if (options.stop.aborted) return;
    log.error({ err: error, attempt: String(build.attempt) }, 'the end of a build could not be reported');
  });
  return {
    id: build.attempt,
    drvPath: build.drvPath,
    get logBytes() {
      return spool?.length ?? 0;
    },
    cancel: () => cancel.abort(new Error('cancelled')),
    done,
  };
}

async function carryOut(options: AttemptOptions, spool: LogSpool, cancelled: AbortSignal): Promise<void> {
  const { build, link, stop, log } = options;
  const phases = { latest: '' };
  const sent = sendLog(options, spool, phases);
  sent.catch(() => {});
  const startedAt = new Date();
  log.info({ attempt: String(build.attempt), drvPath: build.drvPath }, 'building');
  const result = await perform(options, spool, phases, AbortSignal.any([cancelled, stop]));
  const finishedAt = new Date();
  spool.end();
  await sent;
  const { accepted } = await link.call(stop, (client, session) =>
    client.completeBuild(
      {
        session,
        attempt: build.attempt,
        status: result.status,
        message: result.message,
        outputs: { ...result.outputs },
        startedAt: timestampFromDate(startedAt),
        finishedAt: timestampFromDate(finishedAt),
        logBytes: BigInt(spool.length),
        checked: build.check,
      },
      { signal: stop },
    ),
  );
  log.info({ attempt: String(build.attempt), status: result.status, accepted }, 'built');
}

/** Does the work; never rejects. */
async function perform(
  options: AttemptOptions,
  spool: LogSpool,
  phases: { latest: string },
  signal: AbortSignal,
): Promise<RealiseResult> {
  const { build, workshop } = options;
  const order = workOrder(build);
  try {
    const result = await workshop.build(order, {
      signal,
      prepare: () => transfer(options, signal, () => workshop.fetchInputs(pathsNeeded(order), signal)),
      onLogLine: (line) => spool.line(line),
      onPhase: (phase) => {
        phases.latest = phase;
      },
    });
    if (isGood(result.status) && !order.check) {
      await transfer(options, signal, () => workshop.upload(Object.values(result.outputs), signal));
    }
    return result;
  } catch (error) {
    if (signal.aborted) return { status: 'cancelled', message: '', outputs: {} };
    const message = messageOf(error);
    return { status: statusOfTrouble(message), message, outputs: {} };
  }
}

/** Repeats what failed; while the server is away that says nothing. */
async function transfer(options: AttemptOptions, signal: AbortSignal, work: () => Promise<void>) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (options.link.up && tries >= transferTries) throw error;
      options.log.warn({ reason: messageOf(error) }, 'a transfer failed, trying again');
      await pause(retryDelayMs(tries), signal);
      await options.link.session(signal);
    }
  }
}

/** Sends the log while it grows; resolves when all of it has arrived, or nobody wants it. */
async function sendLog(
  { build, link, stop }: AttemptOptions,
  spool: LogSpool,
  phases: { readonly latest: string },
): Promise<void> {
  let offset = 0;
  let toldPhase = '';
  for (;;) {
    await spool.untilBeyond(offset);
    if (!spool.ended) await pause(gatherMs, stop);
    stop.throwIfAborted();
    const data = await spool.read(offset, maxLogPieceBytes);
    const phase = phases.latest;
    if (data.length === 0 && spool.ended) return;
    const answer = await link.call(stop, (client, session) =>
      client.appendLog(
        {
          session,
          attempt: build.attempt,
          offset: BigInt(offset),
          data,
          phase: phase === toldPhase ? '' : phase,
        },
        { signal: stop },
      ),
    );
    if (answer.closed) return;
    toldPhase = phase;
    offset = Number(answer.nextOffset);
  }
}

function workOrder(build: Build): WorkOrder {
  return {
    drvPath: build.drvPath,
    derivation: Buffer.from(build.derivation),
    outputs: build.outputs,
    inputs: build.inputs,
    timeoutSeconds: Number(build.limits?.timeoutSeconds ?? 0n),
    maxSilentSeconds: Number(build.limits?.maxSilentSeconds ?? 0n),
    maxLogBytes: Number(build.limits?.maxLogBytes ?? 0n),
    check: build.check,
  };
}
