/** `ringmaster build log [-f]`: the bytes of a log as the builder printed them. */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { exitStatus, OperatorError } from '../basics/index.ts';
import { readLog } from '../logs/index.ts';
import type { Knex } from '../postgres/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { withServerDatabase } from './database.ts';
import { needBuild } from './needed-build.ts';

const pieceBytes = 256 * 1024;
/** Between looks at a log that is followed. */
const lookAgainMs = 500;

export interface BuildLogOptions {
  readonly follow: boolean;
  /** An attempt of the build; the newest without it. */
  readonly attempt?: number;
}

/** Prints a log, and with `follow` what is added until the build is over. */
export async function buildLog(
  context: CommandContext,
  id: number,
  { follow, attempt }: BuildLogOptions,
): Promise<number> {
  const { config } = await readConfiguration(context);
  const { signal } = context.interruption;
  return withServerDatabase(context, config, async ({ knex }) => {
    let shown: number | undefined;
    let fromByte = 0;
    for (;;) {
      const build = await needBuild(knex, id);
      const current = attempt ?? build.attempts[0]?.id;
      if (attempt !== undefined && !build.attempts.some((one) => one.id === attempt)) {
        throw noLog(`Build ${id} has no attempt ${attempt}.`);
      }
      // A build that is tried again has a new log.
      if (current !== shown) fromByte = 0;
      shown = current;
      const complete = current === undefined ? false : await printFrom();
      const over = build.finishedAt !== null || (attempt !== undefined && complete);
      if (!follow && current === undefined) throw noLog(`Build ${id} has no log: it was never tried.`);
      if (!follow || signal.aborted || (over && (complete || current === undefined || isLost(build)))) break;
      await pause(lookAgainMs, undefined, { signal }).catch(() => {});
    }
    return context.interruption.status() ?? exitStatus.ok;

    function isLost(build: { readonly attempts: readonly { id: number; state: string }[] }): boolean {
      return build.attempts.find((one) => one.id === shown)?.state === 'lost';
    }

    async function printFrom(): Promise<boolean> {
      const { nextByte, complete } = await printLog(context, knex, shown ?? 0, fromByte);
      fromByte = nextByte;
      return complete;
    }
  });
}

/** Prints what there is from an offset on, as fast as it is taken. */
async function printLog(context: CommandContext, knex: Knex, attemptId: number, from: number) {
  for (let fromByte = from; ; ) {
    const { bytes, nextByte, complete } = await readLog(knex, attemptId, { fromByte, maxBytes: pieceBytes });
    const { signal } = context.interruption;
    if (bytes.length > 0 && !context.stdout.write(bytes) && !signal.aborted) {
      await once(context.stdout, 'drain', { signal }).catch(() => {});
    }
    fromByte = nextByte;
    if (complete || bytes.length === 0 || signal.aborted) return { nextByte, complete };
  }
}

function noLog(message: string): OperatorError {
  return new OperatorError({ code: 'no-log', message });
}
