/**
 * The end of evaluations before their time: somebody asks for it, or a newer commit of the same
 * branch or pull request has taken their place.
 *
 * Builds that another unfinished evaluation needs go on. Locks are taken in the order graph, builds,
 * evaluations, as where builds end.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { cancelBuilds, cancelBuildsOf, lockGraphForPlanning } from '../builds/index.ts';
import { addTask } from '../postgres/index.ts';
import { settleAfterBuilds } from './settle.ts';
import type { OnRevisionChanged } from './submit.ts';

export interface CancelOptions {
  /** A sentence for people: who asked, or what took its place. */
  readonly why: string;
  readonly supersededBy?: number;
  readonly onRevisionChanged: OnRevisionChanged;
}

const endedRow = z.object({ id: z.number(), revision_id: z.number() });

/** Ends those of the evaluations that are not over, as `cancelled`; returns their ids. */
export async function cancelEvaluations(
  trx: Knex.Transaction,
  evaluationIds: readonly number[],
  { why, supersededBy, onRevisionChanged }: CancelOptions,
): Promise<readonly number[]> {
  if (evaluationIds.length === 0) return [];
  await lockGraphForPlanning(trx);
  const open: number[] = await trx('evaluations')
    .whereIn('id', [...evaluationIds])
    .whereNull('finished_at')
    .orderBy('id')
    .pluck('id');
  await cancelBuildsOf(trx, open, why);
  const result: unknown = await trx.raw(
    `UPDATE evaluations SET state = 'cancelled', finished_at = now(), process_id = NULL, waiting_for = NULL,
            not_before = NULL, cancel_reason = :why, superseded_by = :supersededBy
     WHERE id IN (SELECT id FROM evaluations WHERE id = ANY (:open) AND finished_at IS NULL
                  ORDER BY id FOR NO KEY UPDATE)
     RETURNING id, revision_id`,
    { why, supersededBy: supersededBy ?? null, open },
  );
  const { rows } = z.object({ rows: z.array(endedRow) }).parse(result);
  rows.sort((a, b) => a.id - b.id);
  for (const row of rows) await onRevisionChanged(trx, row.revision_id, 'now');
  return rows.map((row) => row.id);
}

/**
 * Cancels one build whoever wants it, with what depends on it. False when it had ended before. What
 * runs ends as soon as its builder has stopped.
 */
export async function cancelBuild(
  trx: Knex.Transaction,
  buildId: number,
  { why, onRevisionChanged }: CancelOptions,
): Promise<boolean> {
  await lockGraphForPlanning(trx);
  const row: unknown = await trx('builds')
    .select('id')
    .where({ id: buildId })
    .whereNull('finished_at')
    .first();
  if (row === undefined) return false;
  const ended = await cancelBuilds(trx, [buildId], why);
  await settleAfterBuilds(trx, [...ended, buildId], onRevisionChanged);
  return true;
}

/** The background task that ends what an evaluation took the place of; its payload is `{ id }`. */
export const supersedeTask = 'supersede-evaluations';

/**
 * To be called in the transaction in which an evaluation has queued all its builds: what it shares
 * with those before it then goes on without a break. The rest happens after that transaction.
 */
export async function requestSupersede(trx: Knex.Transaction, evaluationId: number): Promise<void> {
  await addTask(trx, supersedeTask, { id: evaluationId }, { jobKey: `supersede:${evaluationId}` });
}

const olderRow = z.object({
  id: z.number(),
  kind: z.enum(['branch', 'pull-request', 'tag']),
  name: z.string(),
});
const newerRow = z.object({ sha: z.string() });

/**
 * Cancels the older unfinished evaluations whose every branch and pull request has moved on to a newer
 * commit, this evaluation's among them. Evaluations of default branches go on unless told otherwise.
 * Returns the ids of the cancelled ones. Safe to repeat.
 */
export async function supersedeEvaluations(
  trx: Knex.Transaction,
  evaluationId: number,
  options: { readonly defaultBranch: boolean; readonly onRevisionChanged: OnRevisionChanged },
): Promise<readonly number[]> {
  const found: unknown = await trx('evaluations')
    .join('revisions', 'revisions.id', 'evaluations.revision_id')
    .select('sha')
    .where('evaluations.id', evaluationId)
    .whereIn('evaluations.state', ['building', 'succeeded', 'failed'])
    .first();
  if (found === undefined) return [];
  const { sha } = newerRow.parse(found);
  // A branch has moved on when some other commit was seen on it later. The newer commit shares one.
  const result: unknown = await trx.raw(
    `SELECT DISTINCT ON (old.id) old.id, s.kind, s.name
     FROM evaluations new
     JOIN revisions nr ON nr.id = new.revision_id
     JOIN revision_sources ns ON ns.revision_id = nr.id
     JOIN projects p ON p.id = nr.project_id
     JOIN revision_sources s ON s.kind = ns.kind AND s.name = ns.name AND s.seen_at < ns.seen_at
     JOIN revisions r ON r.id = s.revision_id AND r.project_id = nr.project_id
     JOIN evaluations old ON old.revision_id = r.id AND old.finished_at IS NULL AND old.id <> new.id
     WHERE new.id = :evaluationId AND r.id <> nr.id
       AND NOT EXISTS (
         SELECT 1 FROM revision_sources c WHERE c.revision_id = r.id
         AND ((c.kind = 'branch' AND c.name = p.default_branch AND NOT :defaultBranch)
              OR NOT EXISTS (
                SELECT 1 FROM revision_sources later JOIN revisions lr ON lr.id = later.revision_id
                WHERE lr.project_id = r.project_id AND lr.id <> r.id AND later.kind = c.kind
                  AND later.name = c.name AND later.seen_at > c.seen_at)))
     ORDER BY old.id, s.kind, s.name`,
    { evaluationId, defaultBranch: options.defaultBranch },
  );
  const { rows } = z.object({ rows: z.array(olderRow) }).parse(result);
  const cancelled: number[] = [];
  for (const row of rows) {
    const where = row.kind === 'pull-request' ? `pull request #${row.name}` : `${row.kind} ${row.name}`;
    const why = `A newer commit of ${where} took its place: ${sha.slice(0, 12)}.`;
    cancelled.push(
      ...(await cancelEvaluations(trx, [row.id], {
        why,
        supersededBy: evaluationId,
        onRevisionChanged: options.onRevisionChanged,
      })),
    );
  }
  return cancelled;
}
