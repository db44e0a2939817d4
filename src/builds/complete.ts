/** Recording how attempts ended, many in one transaction. */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { AttemptResult } from '../builders/index.ts';
import { logChannel } from '../logs/index.ts';
import { buildsChannel } from './channels.ts';
import { askForSamples, endChecks } from './checks/index.ts';
import { rememberDurations } from './durations.ts';
import { type BuildEnd, finishBuilds } from './finish.ts';
import { lockGraphForFinishing } from './graph-lock.ts';
import { rememberHashMismatches } from './hash-mismatch.ts';
import { withMachines } from './lost.ts';
import { putBack, troubleOf } from './put-back.ts';
import { isMachineFailure, verdictOf } from './states.ts';

/** Called in the transaction in which builds started or ended. */
export type OnBuildsChanged = (trx: Knex.Transaction, buildIds: readonly number[]) => Promise<void>;

export interface AttemptEnd {
  readonly attemptId: number;
  readonly buildId: number;
  readonly result: AttemptResult;
  /** Nobody writes a log for it any more, or ever did. */
  readonly withoutLog?: boolean;
}

/**
 * Ends attempts and, by the verdicts, their builds. An attempt that was declared lost meanwhile is
 * passed over: its build then belongs to another attempt. Safe to repeat. Of what was built,
 * `checkPercent` per cent are to be built again and compared.
 */
export async function completeAttempts(
  trx: Knex.Transaction,
  told: readonly AttemptEnd[],
  onBuildsChanged: OnBuildsChanged,
  checkPercent = 0,
): Promise<void> {
  const ends = told.map(storable);
  await lockGraphForFinishing(trx);
  const believed = await endAttempts(trx, ends);
  await endChecks(
    trx,
    ends.flatMap(({ attemptId, buildId, result }) => {
      const { builderId, checkId } = believed.get(attemptId) ?? {};
      return checkId === undefined ? [] : [{ checkId, buildId, builderId, result }];
    }),
  );
  const accepted = ends.filter((end) => {
    const attempt = believed.get(end.attemptId);
    return attempt !== undefined && attempt.checkId === undefined;
  });
  if (accepted.length === 0) return;
  const doubtful = accepted.filter(({ result }) => isDoubtful(result));
  const troubles = await troubleOf(
    trx,
    doubtful.map((end) => end.buildId),
  );
  const finished: BuildEnd[] = [];
  const again: AttemptEnd[] = [];
  for (const end of accepted) {
    const trouble = troubles.get(end.buildId);
    const verdict =
      end.result.status === 'cancelled' && trouble?.cancelReason === undefined
        ? { kind: 'try-again' as const }
        : verdictOf(end.result.status, trouble?.failures ?? 0);
    if (verdict.kind === 'try-again') again.push(end);
    else {
      const message = verdict.state === 'cancelled' ? trouble?.cancelReason : undefined;
      finished.push({
        buildId: end.buildId,
        state: verdict.state,
        message: message ?? end.result.message,
      });
    }
  }
  const { ended, ready } = await finishBuilds(
    trx,
    await withMachines(trx, finished),
    again.map((end) => end.buildId),
  );
  await rememberHashMismatches(trx, finished);
  await putBack(
    trx,
    again.map(({ buildId, attemptId, result }) => ({
      buildId,
      builderId: believed.get(attemptId)?.builderId,
      machineFailed: isMachineFailure(result.status),
      message: result.message,
    })),
  );
  const built = accepted.filter(({ result }) => result.status === 'built');
  await rememberDurations(
    trx,
    built.map(({ buildId, result }) => ({
      buildId,
      milliseconds: result.finishedAt.getTime() - result.startedAt.getTime(),
    })),
  );
  await askForSamples(
    trx,
    built.map(({ buildId }) => buildId),
    checkPercent,
  );
  await onBuildsChanged(trx, ended);
  if (ready + again.length > 0) await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
}

/** As `completeAttempts`, for one. */
export function completeAttempt(
  trx: Knex.Transaction,
  { attemptId, buildId }: { readonly attemptId: number; readonly buildId: number },
  result: AttemptResult,
  onBuildsChanged: OnBuildsChanged,
): Promise<void> {
  return completeAttempts(trx, [{ attemptId, buildId, result }], onBuildsChanged);
}

/** Its build has to be looked at before it is known what follows. */
function isDoubtful({ status }: AttemptResult): boolean {
  return isMachineFailure(status) || status === 'cancelled';
}

/** An attempt that did run until now. */
interface EndedAttempt {
  readonly builderId: number | undefined;
  /** It was for this check, and not for the build. */
  readonly checkId: number | undefined;
}

/** Returns the attempts that did run until now. */
async function endAttempts(
  trx: Knex.Transaction,
  ends: readonly AttemptEnd[],
): Promise<ReadonlyMap<number, EndedAttempt>> {
  const unique = [...new Map(ends.map((end) => [end.attemptId, end])).values()];
  const result: unknown = await trx.raw(
    `WITH locked AS MATERIALIZED (
       SELECT id FROM attempts WHERE id = ANY (:ids) AND state = 'running' ORDER BY id FOR NO KEY UPDATE
     ), told AS (
       UPDATE attempts a SET state = 'ended', status = e.status, message = e.message, finished_at = now(),
              -- Who ran it matters only while it runs; a process that leaves need not touch its history.
              process_id = NULL, lease_until = NULL, phase = NULL, log_complete = log_complete OR e.without_log
       FROM unnest(:ids::bigint[], :builds::bigint[], :statuses::text[], :messages::text[], :withoutLog::boolean[])
              AS e (id, build_id, status, message, without_log)
       WHERE a.id = e.id AND a.build_id = e.build_id AND a.id IN (SELECT id FROM locked)
       RETURNING a.id, a.builder_id, a.check_id, e.without_log
     )
     SELECT id, builder_id, check_id,
            CASE WHEN without_log THEN pg_notify(:channel, id::text) IS NULL END AS told FROM told`,
    {
      ids: unique.map((end) => end.attemptId),
      builds: unique.map((end) => end.buildId),
      statuses: unique.map((end) => end.result.status),
      messages: unique.map((end) => end.result.message),
      withoutLog: unique.map((end) => end.withoutLog ?? false),
      channel: logChannel,
    },
  );
  const row = z.object({
    id: z.number(),
    builder_id: z.number().nullable(),
    check_id: z.number().nullable(),
  });
  const { rows } = z.object({ rows: z.array(row) }).parse(result);
  return new Map(
    rows.map(({ id, builder_id: builder, check_id: check }) => [
      id,
      { builderId: builder ?? undefined, checkId: check ?? undefined },
    ]),
  );
}

/** PostgreSQL's text holds no NUL, and Nix quotes what builders print. */
function storable(end: AttemptEnd): AttemptEnd {
  return { ...end, result: { ...end.result, message: end.result.message.replaceAll('\0', '\u{fffd}') } };
}
