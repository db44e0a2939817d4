/** What people ask for about a commit that is known: to let it run, to run it again. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { failureStates, forgetFailures } from '../builds/index.ts';
import type { AttributePath } from './events.ts';
import { ensureEvaluation, type OnRevisionChanged, startEvaluation } from './submit.ts';

export type Rerun =
  /** `attributes`: those that had failed and are tried again. */
  | { readonly kind: 'started'; readonly evaluationId: number; readonly attributes: number }
  | { readonly kind: 'under-way'; readonly evaluationId: number }
  | { readonly kind: 'needs-approval' }
  /** Its project was paused by an operator, or the App does not see it any more. */
  | { readonly kind: 'at-rest' }
  | { readonly kind: 'nothing-failed' }
  | { readonly kind: 'unknown' };

export interface RerunRequest {
  readonly revisionId: number;
  /** `failed` does nothing where nothing failed. */
  readonly scope: 'all' | 'failed';
  /** Of the attributes that failed, those that are tried again. */
  readonly chosen?: (path: AttributePath) => boolean;
  readonly onRevisionChanged: OnRevisionChanged;
}

const revisionRow = z.object({ trust: z.enum(['trusted', 'needs-approval']), enabled: z.boolean() });
const evaluationRow = z.object({ id: z.number(), finished_at: z.date().nullable() });
const failedRow = z.object({
  path: z.array(z.string()),
  drv_path: z.string().nullable(),
  culprit: z.string().nullable(),
});

/**
 * Evaluates a commit again. What evaluated well is known and not evaluated again, and what was built is
 * there; so what is really done anew is what failed. A commit whose evaluation is under way goes on.
 */
export async function rerunRevision(trx: Knex.Transaction, request: RerunRequest): Promise<Rerun> {
  const { revisionId } = request;
  const found: unknown = await trx('revisions')
    .join('projects', 'projects.id', 'revisions.project_id')
    .select('revisions.trust', 'projects.enabled')
    .where({ 'revisions.id': revisionId })
    .forUpdate('revisions')
    .first();
  if (found === undefined) return { kind: 'unknown' };
  const { trust, enabled } = revisionRow.parse(found);
  if (!enabled) return { kind: 'at-rest' };
  if (trust !== 'trusted') return { kind: 'needs-approval' };
  const newest: unknown = await trx('evaluations')
    .select('id', 'finished_at')
    .where({ revision_id: revisionId })
    .orderBy('id', 'desc')
    .first();
  if (newest === undefined) {
    const { id } = await ensureEvaluation(trx, revisionId);
    await request.onRevisionChanged(trx, revisionId, 'now');
    return { kind: 'started', evaluationId: id, attributes: 0 };
  }
  const last = evaluationRow.parse(newest);
  if (last.finished_at === null) return { kind: 'under-way', evaluationId: last.id };
  const failed = (await failedJobs(trx, last.id)).filter(({ path }) => request.chosen?.(path) ?? true);
  if (request.scope === 'failed' && failed.length === 0) return { kind: 'nothing-failed' };
  await forgetFailures(trx, [
    ...new Set(failed.flatMap((job) => [job.drv_path, job.culprit].flatMap((path) => path ?? []))),
  ]);
  await forgetErrors(trx, last.id);
  const evaluationId = await startEvaluation(trx, revisionId);
  await request.onRevisionChanged(trx, revisionId, 'now');
  return { kind: 'started', evaluationId, attributes: failed.length };
}

/** Attributes that did not evaluate or build. */
async function failedJobs(trx: Knex.Transaction, evaluationId: number) {
  const result: unknown = await trx.raw(
    `SELECT j.path, j.drv_path, c.drv_path AS culprit
     FROM jobs j LEFT JOIN builds b ON b.id = j.build_id LEFT JOIN builds c ON c.id = b.culprit_build_id
     WHERE j.evaluation_id = ? AND (j.error IS NOT NULL OR b.state = ANY (?)) ORDER BY j.id`,
    [evaluationId, [...failureStates, 'cancelled']],
  );
  return z.object({ rows: z.array(failedRow) }).parse(result).rows;
}

/** An evaluation with errors stands for no other any more: somebody thinks they would not come again. */
async function forgetErrors(trx: Knex.Transaction, evaluationId: number): Promise<void> {
  await trx.raw(
    `UPDATE evaluations SET reusable_until = NULL
     WHERE id IN (SELECT o.id FROM evaluations o JOIN evaluations e ON e.id = ? AND e.reuse_key = o.reuse_key
                  WHERE o.error_count > 0 ORDER BY o.id FOR NO KEY UPDATE OF o)`,
    [evaluationId],
  );
}

export interface Approval {
  readonly projectId: number;
  readonly sha: string;
  /** Login, for the record. */
  readonly by: string;
  readonly onRevisionChanged: OnRevisionChanged;
}

/** Lets exactly this commit be evaluated. False where nothing waits for that. */
export async function approveRevision(trx: Knex.Transaction, approval: Approval): Promise<boolean> {
  const [approved]: unknown[] = await trx('revisions')
    .where({ project_id: approval.projectId, sha: approval.sha, trust: 'needs-approval' })
    .update({ trust: 'trusted', trust_reason: null, approved_by: approval.by, approved_at: trx.fn.now() })
    .returning('id');
  if (approved === undefined) return false;
  const { id } = z.object({ id: z.number() }).parse(approved);
  await ensureEvaluation(trx, id);
  await approval.onRevisionChanged(trx, id, 'now');
  return true;
}
