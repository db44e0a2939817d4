/**
 * Of several evaluations of the same files at the same time, one evaluates. The others go back into
 * the queue until it has ended, and then stand on its result. When it ended without a result that may
 * stand for others, they evaluate; when its machine failed, the next one does and the rest wait for that.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { ClaimedEvaluation } from './queue.ts';
import { evaluationsChannel } from './submit.ts';

const otherRow = z.object({ id: z.number(), sha: z.string() });

export interface Other {
  readonly id: number;
  readonly sha: string;
}

/** Says that this evaluation is about to evaluate files of this key; or who does so already. */
export async function announceFiles(
  db: Knex,
  { id, waitedFor }: ClaimedEvaluation,
  key: string,
): Promise<Other | undefined> {
  return await db.transaction(async (trx) => {
    await trx.raw('SELECT pg_advisory_xact_lock(hashtextextended(?, 0))', [key]);
    const result: unknown = await trx.raw(
      `SELECT e.id, r.sha FROM evaluations e JOIN revisions r ON r.id = e.revision_id
       WHERE e.evaluating_key = :key AND e.state = 'evaluating' AND e.id <> :id
         AND NOT EXISTS (SELECT 1 FROM evaluations w
                         WHERE w.id = :waitedFor AND w.state NOT IN ('queued', 'evaluating'))
       ORDER BY e.id LIMIT 1`,
      { key, id, waitedFor: waitedFor ?? null },
    );
    const [other] = z.object({ rows: z.array(otherRow) }).parse(result).rows;
    if (!other) await trx('evaluations').where({ id }).update({ evaluating_key: key });
    return other;
  });
}

/** Puts a claimed evaluation back until the other one has ended. */
export async function waitForOther(
  trx: Knex.Transaction,
  { id }: ClaimedEvaluation,
  other: Other,
): Promise<void> {
  await trx('evaluations')
    .where({ id, state: 'evaluating' })
    .update({
      state: 'queued',
      process_id: null,
      tries: trx.raw('tries - 1'),
      waits_for: other.id,
      waiting_for: `commit ${other.sha.slice(0, 12)}, which has the same files and is being evaluated`,
    });
}

/** To be called in the transaction in which an evaluation ends: those that waited for it may start. */
export async function wakeWaiting(trx: Knex.Transaction, evaluationId: number): Promise<void> {
  await trx.raw(
    `SELECT pg_notify(?, '') WHERE EXISTS (SELECT 1 FROM evaluations WHERE waits_for = ? AND state = 'queued')`,
    [evaluationsChannel, evaluationId],
  );
}
