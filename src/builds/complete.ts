/**
 * Recording how an attempt ended, and giving back the builds of attempts that were lost.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { AttemptResult } from '../builders/index.ts';
import { cancelReason } from './cancel.ts';
import { buildsChannel } from './channels.ts';
import { finishBuild } from './finish.ts';
import { lockGraphForFinishing } from './graph-lock.ts';
import { verdictOf } from './states.ts';

/** Called in the transaction in which builds started or ended. */
export type OnBuildsChanged = (trx: Knex.Transaction, buildIds: readonly number[]) => Promise<void>;

const buildRow = z.object({ infrastructure_failures: z.number() });

/** Seconds a build rests after the n-th trouble of its machine. */
export function restSeconds(failures: number): number {
  return Math.min(300, 2 ** failures);
}

/**
 * Ends an attempt and, by its verdict, the build. Does nothing when the attempt was declared lost
 * meanwhile: its build then belongs to another attempt. Safe to repeat.
 */
export async function completeAttempt(
  trx: Knex.Transaction,
  { attemptId, buildId }: { readonly attemptId: number; readonly buildId: number },
  result: AttemptResult,
  onBuildsChanged: OnBuildsChanged,
): Promise<void> {
  await lockGraphForFinishing(trx);
  const updated = await trx('attempts')
    .where({ id: attemptId, build_id: buildId, state: 'running' })
    .update({
      state: 'ended',
      status: result.status,
      message: storable(result.message),
      finished_at: trx.fn.now(),
      // Who ran it matters only while it runs; a process that leaves need not touch its history.
      process_id: null,
    });
  if (updated === 0) return;
  const row: unknown = await trx('builds').select('infrastructure_failures').where('id', buildId).first();
  const { infrastructure_failures: failuresBefore } = buildRow.parse(row);
  const cancelled = await cancelReason(trx, buildId);
  const verdict = verdictOf(result.status, failuresBefore);
  if (result.status === 'cancelled' && cancelled === undefined) {
    // Its builder was stopped, and somebody wants it after all: the next attempt begins anew.
    await trx('builds').where({ id: buildId, state: 'building' }).update({ state: 'queued' });
  } else if (cancelled !== undefined && (result.status === 'cancelled' || verdict.kind === 'try-again')) {
    await onBuildsChanged(trx, await finishBuild(trx, buildId, { state: 'cancelled', message: cancelled }));
  } else if (verdict.kind === 'finished') {
    const ended = await finishBuild(trx, buildId, {
      state: verdict.state,
      message: storable(result.message),
    });
    await onBuildsChanged(trx, ended);
  } else {
    const failures = failuresBefore + 1;
    await trx('builds')
      .where({ id: buildId, state: 'building' })
      .update({
        state: 'queued',
        infrastructure_failures: failures,
        not_before: trx.raw(`now() + ? * interval '1 second'`, [restSeconds(failures)]),
      });
  }
  await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
}

/** PostgreSQL's text holds no NUL, and Nix quotes what builders print. */
function storable(text: string): string {
  return text.replaceAll('\0', '\u{fffd}');
}

/**
 * Gives back what a process was building when it died. Its builders' processes died with it (their
 * pipes closed), and Nix locks output paths, so a new attempt never runs beside an old one.
 */
export async function releaseAttempts(
  trx: Knex.Transaction,
  processIds: readonly number[],
): Promise<readonly number[]> {
  const result: unknown = await trx.raw(
    `WITH lost AS (
       UPDATE attempts SET state = 'lost', process_id = NULL, finished_at = now(), log_complete = true,
              message = 'The server process that ran this attempt ended.'
       WHERE state = 'running' AND (process_id IS NULL OR process_id = ANY (:processes)) RETURNING build_id
     )
     UPDATE builds SET state = 'queued' FROM lost
     WHERE builds.id = lost.build_id AND builds.state = 'building' RETURNING builds.id`,
    { processes: [...processIds] },
  );
  const { rows } = z.object({ rows: z.array(z.object({ id: z.number() })) }).parse(result);
  if (rows.length > 0) await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
  return rows.map((row) => row.id);
}
