/**
 * Sends what is unsent of one installation, wave after wave, until nothing is due, the write budget
 * is used up or GitHub does not answer; then asks to be called again when it makes sense.
 *
 * Safe to end at any moment. Never holds a transaction while it waits for GitHub.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { Logger } from '../../basics/index.ts';
import type { ReportTransport } from '../types.ts';
import { chooseWave, type DueReport, readDue, readNextDue, type Wave } from './due.ts';
import { createGovernor, type Governor } from './governor.ts';
import { type SendOutcome, sendOne } from './send-one.ts';
import { requestSendingAt } from './tasks.ts';

export interface SenderOptions {
  readonly db: Knex;
  readonly transport: ReportTransport;
  readonly log: Logger;
  /** What counts the writes; others that write spend from the same. Default: one of its own. */
  readonly governor?: Governor;
  /** Default: the machine's clock. */
  readonly now?: () => Date;
  /** From 0 to 1. Default: Math.random. */
  readonly random?: () => number;
}

export interface ReportSender {
  /** Handles one `send-reports` task. The task queue must not run two of one installation at once. */
  send(installationId: number, signal?: AbortSignal): Promise<void>;
}

/** Calls to GitHub at the same time, of the 100 that an App may have in all. */
const concurrency = 8;

/** So many calls at once without any answer are an outage, not the trouble of one report. */
const outageCalls = 3;

const installationRow = z.object({
  suspended: z.boolean(),
  deleted: z.boolean(),
  paused_until: z.date().nullable(),
});

/** One sender serves all installations of a process; it remembers whose turn it was. */
export function createReportSender(options: SenderOptions): ReportSender {
  const { db, transport, log } = options;
  const now = options.now ?? (() => new Date());
  const random = options.random ?? Math.random;
  const governor = options.governor ?? createGovernor(db, options.now);
  const one = { db, transport, log, now, random };
  const turns = new Map<number, number>();

  return {
    async send(installationId, signal) {
      const paused = await pauseOf(db, installationId);
      if (paused === 'never') return;
      const again =
        paused && paused > now() ? paused : await sendWaves(one, { governor, turns }, installationId, signal);
      if (again) await requestSendingAt(db, installationId, again);
    },
  };
}

/** Until when the installation is left alone; `never` when it takes no more reports. */
async function pauseOf(db: Knex, installationId: number): Promise<Date | 'never' | undefined> {
  const found: unknown = await db('installations')
    .select('suspended', 'deleted', 'paused_until')
    .where({ id: installationId })
    .first();
  if (found === undefined) return 'never';
  const row = installationRow.parse(found);
  return row.suspended || row.deleted ? 'never' : (row.paused_until ?? undefined);
}

interface Sharing {
  readonly governor: Governor;
  /** Last turns of projects. */
  readonly turns: Map<number, number>;
}

/** Returns when to come back; undefined when there is nothing to come back for. */
async function sendWaves(
  options: Parameters<typeof sendOne>[0],
  { governor, turns }: Sharing,
  installationId: number,
  signal: AbortSignal | undefined,
): Promise<Date | undefined> {
  const { db, now } = options;
  for (;;) {
    const due = await readDue(db, installationId, now());
    // The process ends: another one goes on.
    if (signal?.aborted) return due.length > 0 ? now() : undefined;
    let wave: Wave = { reports: [], short: undefined };
    const allowance = await governor.take(installationId, (room) => {
      wave = chooseWave(due, room, concurrency, turns);
      return wave.reports.length;
    });
    if (wave.reports.length === 0) {
      const nextDue = await readNextDue(db, installationId, now());
      return earliest([nextDue, wave.short && allowance.nextRoom(wave.short)]);
    }
    noteTurns(turns, wave.reports);
    const outcomes = await Promise.all(wave.reports.map(({ id }) => sendOne(options, id)));
    // A call without an answer is not counted: after an outage the whole budget is there.
    await allowance.giveBack(outcomes.filter(({ kind }) => kind === 'later').length);
    const stop = stopAfter(outcomes);
    if (!stop) continue;
    // Nor do new wishes knock before then.
    if (outcomes.length >= outageCalls) await pause(db, installationId, stop);
    return stop;
  }
}

function noteTurns(turns: Map<number, number>, reports: readonly DueReport[]): void {
  let turn = Math.max(0, ...turns.values());
  for (const { project_id } of reports) turns.set(project_id, ++turn);
}

/** A longer pause, asked for by GitHub, stays. */
async function pause(db: Knex, installationId: number, until: Date): Promise<void> {
  await db('installations')
    .where({ id: installationId })
    .update({ paused_until: db.raw('greatest(paused_until, ?)', [until]) });
}

/** A pause ends the round, and so does a wave of which no call was answered: GitHub is away. */
function stopAfter(outcomes: readonly SendOutcome[]): Date | undefined {
  const pauses = outcomes.flatMap((outcome) => (outcome.kind === 'paused' ? [outcome.until] : []));
  if (pauses.length > 0) return latest(pauses);
  const waits = outcomes.flatMap((outcome) => (outcome.kind === 'later' ? [outcome.until] : []));
  return waits.length === outcomes.length ? earliest(waits) : undefined;
}

function earliest(dates: readonly (Date | undefined)[]): Date | undefined {
  const times = dates.flatMap((date) => (date ? [date.getTime()] : []));
  return times.length === 0 ? undefined : new Date(Math.min(...times));
}

function latest(dates: readonly Date[]): Date {
  return new Date(Math.max(...dates.map((date) => date.getTime())));
}
