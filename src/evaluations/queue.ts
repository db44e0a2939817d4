/**
 * The queue of evaluations: who works on which, and what happens when that goes wrong.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { EvaluationError, JobFound } from './events.ts';
import { evaluationsChannel, type OnRevisionChanged } from './submit.ts';

/** Deaths of the server during one evaluation after which it is taken to be the evaluation's fault. */
export const mostTries = 5;

export interface ClaimedEvaluation {
  readonly id: number;
  readonly revisionId: number;
  readonly projectId: number;
  readonly sha: string;
  /** Git's hash of the commit's files, once it is known. */
  readonly tree?: string | undefined;
  /** What its code may do. A commit that only an approval lets in runs as trusted code does, and has paths of its own. */
  readonly trust: 'trusted' | 'approved' | 'needs-approval';
  /** Times it was put back because something outside was away. */
  readonly postponed: number;
  /** It was put back for so long that the next time is the last. */
  readonly waitedTooLong: boolean;
  /** The evaluation it waited for, to stand on its result. */
  readonly waitedFor: number | undefined;
  /** All places where the commit was seen, the newest first. */
  readonly sources: readonly {
    readonly kind: string;
    readonly name: string;
    readonly gitRef: string;
    readonly fromFork: boolean;
  }[];
}

const claimedRow = z.object({
  id: z.number(),
  revision_id: z.number(),
  project_id: z.number(),
  sha: z.string(),
  tree: z.string().nullable(),
  trust: z.enum(['trusted', 'approved', 'needs-approval']),
  postponed: z.number(),
  waited_too_long: z.boolean(),
  waits_for: z.number().nullable(),
  sources: z.array(
    z.object({ kind: z.string(), name: z.string(), gitRef: z.string(), fromFork: z.boolean() }),
  ),
});

/** Takes the oldest evaluation that may start. */
export async function claimEvaluation(
  trx: Knex.Transaction,
  processId: number,
): Promise<ClaimedEvaluation | undefined> {
  // Two that count at the same time would both find room for one more of a repository. And nobody waits
  // for the disk: a claim that is lost with the machine is made again.
  await trx.raw(
    `SELECT set_config('synchronous_commit', 'off', true),
            CASE WHEN EXISTS (SELECT 1 FROM project_settings WHERE settings->>'concurrency' IS NOT NULL)
                 THEN pg_advisory_xact_lock(hashtextextended('ringmaster claims evaluations', 0))::text END`,
  );
  const result: unknown = await trx.raw(
    `WITH taken AS (
       UPDATE evaluations SET state = 'evaluating', process_id = ?, tries = tries + 1,
              started_at = coalesce(started_at, now()), waiting_for = NULL, not_before = NULL
       WHERE id = (SELECT q.id FROM evaluations q
                   WHERE q.state = 'queued' AND (q.not_before IS NULL OR q.not_before <= now())
                     AND NOT EXISTS (SELECT 1 FROM evaluations w
                                     WHERE w.id = q.waits_for AND w.state = 'evaluating')
                     AND NOT EXISTS (SELECT 1 FROM revisions qr
                                     JOIN project_settings s ON s.project_id = qr.project_id
                                     WHERE qr.id = q.revision_id AND (s.settings->>'concurrency')::int <=
                                       (SELECT count(*) FROM evaluations b JOIN revisions br ON br.id = b.revision_id
                                        WHERE b.state = 'evaluating' AND b.finished_at IS NULL
                                          AND br.project_id = qr.project_id))
                   ORDER BY q.id LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING id, revision_id, postponed, queued_at, waits_for
     )
     SELECT taken.id, taken.revision_id, taken.postponed, taken.waits_for,
            taken.queued_at < now() - interval '24 hours' AS waited_too_long, r.project_id, r.sha, r.tree,
            CASE WHEN r.trust = 'trusted' AND r.approved_by IS NOT NULL
                      AND NOT EXISTS (SELECT 1 FROM revision_sources b WHERE b.revision_id = r.id AND b.kind = 'branch')
                 THEN 'approved' ELSE r.trust END AS trust,
            (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', s.kind, 'name', s.name, 'gitRef', s.git_ref,
                                                          'fromFork', s.from_fork) ORDER BY s.seen_at DESC), '[]')
             FROM revision_sources s WHERE s.revision_id = r.id) AS sources
     FROM taken JOIN revisions r ON r.id = taken.revision_id`,
    [processId],
  );
  const { rows } = z.object({ rows: z.array(z.unknown()) }).parse(result);
  if (rows.length === 0) return undefined;
  const row = claimedRow.parse(rows[0]);
  return {
    id: row.id,
    revisionId: row.revision_id,
    projectId: row.project_id,
    sha: row.sha,
    tree: row.tree ?? undefined,
    trust: row.trust,
    postponed: row.postponed,
    waitedTooLong: row.waited_too_long,
    waitedFor: row.waits_for ?? undefined,
    sources: row.sources,
  };
}

/** Whether the evaluation is still claimed by this process; locks its row. */
export async function stillOurs(
  trx: Knex.Transaction,
  evaluationId: number,
  processId: number,
): Promise<boolean> {
  const row: unknown = await trx('evaluations')
    .select('id')
    .where({ id: evaluationId, state: 'evaluating', process_id: processId })
    .forUpdate()
    .first();
  return row !== undefined;
}

/** Puts a claimed evaluation back because something outside is away; says what, for people. */
export async function postponeEvaluation(
  trx: Knex.Transaction,
  evaluation: ClaimedEvaluation,
  waitingFor: string,
): Promise<void> {
  const seconds = Math.min(300, 2 ** (evaluation.postponed + 1));
  await trx('evaluations')
    .where({ id: evaluation.id, state: 'evaluating' })
    .update({
      state: 'queued',
      process_id: null,
      tries: trx.raw('tries - 1'),
      postponed: evaluation.postponed + 1,
      waiting_for: waitingFor,
      not_before: trx.raw(`now() + ? * interval '1 second'`, [seconds]),
    });
}

/** Removes what an earlier, interrupted try of this evaluation left. */
export async function clearJobs(trx: Knex.Transaction, evaluationId: number): Promise<void> {
  await trx('jobs').where({ evaluation_id: evaluationId }).delete();
  await trx('evaluations')
    .where({ id: evaluationId })
    .update({ job_count: 0, error_count: 0, notices: '[]', file: null, evaluator: null });
}

export const jobLimits = z.object({
  timeoutSeconds: z.number().exactOptional(),
  maxSilentSeconds: z.number().exactOptional(),
  priority: z.number().exactOptional(),
});

/** A result of an evaluation, and what became of it. */
export type NewJob =
  | EvaluationError
  | (JobFound & {
      /** Its outputs were there already. */
      readonly cached?: boolean;
      readonly buildId?: number;
      /** Why its derivation cannot, or must not, be built. */
      readonly error?: string;
    });

/** Writes jobs and errors in one statement. Their order is the evaluation's. */
export async function insertJobs(
  trx: Knex.Transaction,
  evaluationId: number,
  jobs: readonly NewJob[],
): Promise<void> {
  if (jobs.length === 0) return;
  await trx.raw(
    `INSERT INTO jobs (evaluation_id, path, drv_path, name, system, outputs, mark, limits, cached, build_id,
                       error, error_file, error_line, error_column)
     SELECT ?, ARRAY(SELECT jsonb_array_elements_text(j.path)), j."drvPath", j.name, j.system, j.outputs,
            j.mark, j.limits, coalesce(j.cached, false), CASE WHEN j.cached THEN ${maker('j."drvPath"')} ELSE j."buildId" END,
            j.error, j.file, j.line, j."column"
     FROM jsonb_to_recordset(?::jsonb) AS j (path jsonb, "drvPath" text, name text, system text,
            outputs jsonb, mark text, limits jsonb, cached boolean, "buildId" bigint, error text, file text, line int,
            "column" int)
     ON CONFLICT (evaluation_id, path) DO NOTHING`,
    [evaluationId, JSON.stringify(jobs.map(jobRow))],
  );
}

/** SQL for the build of ours that made the outputs of a derivation; null when none did. */
export function maker(drvPath: string): string {
  return `(SELECT b.id FROM builds b WHERE b.drv_path = ${drvPath} AND b.state = 'succeeded'
           ORDER BY b.id DESC LIMIT 1)`;
}

function jobRow(event: NewJob) {
  if (event.type === 'job') {
    const { path, drvPath, name, system, outputs, mark, limits, cached, buildId, error } = event;
    const about = { path: path.map(storable), drvPath, name: storable(name), system, outputs, mark, limits };
    return { ...about, cached, buildId, error: error === undefined ? undefined : storable(error) };
  }
  return {
    path: event.path.map(storable),
    mark: 'regular',
    error: storable(event.message),
    file: event.location?.file,
    line: event.location?.line,
    column: event.location?.column,
  };
}

/** PostgreSQL's text holds no NUL; Nix strings hold none either, messages might. */
function storable(text: string): string {
  return text.replaceAll('\0', '\u{fffd}');
}

/**
 * Gives back the evaluations of dead processes, all but those in `running`. One that has been given
 * back too often ends the server each time it runs, so it is failed instead.
 */
export async function releaseEvaluations(
  trx: Knex.Transaction,
  processIds: readonly number[],
  onRevisionChanged: OnRevisionChanged,
  running: readonly number[] = [],
): Promise<void> {
  const result: unknown = await trx.raw(
    `UPDATE evaluations SET process_id = NULL,
            state = CASE WHEN tries < :most THEN 'queued' ELSE 'failed' END,
            finished_at = CASE WHEN tries < :most THEN NULL ELSE now() END,
            error_count = CASE WHEN tries < :most THEN 0 ELSE 1 END
     WHERE state = 'evaluating' AND (process_id IS NULL OR process_id = ANY (:processes))
       AND id <> ALL (:running::bigint[])
     RETURNING id, revision_id, state`,
    { most: mostTries, processes: [...processIds], running: [...running] },
  );
  const { rows } = z
    .object({ rows: z.array(z.object({ id: z.number(), revision_id: z.number(), state: z.string() })) })
    .parse(result);
  for (const row of rows) {
    if (row.state === 'failed') {
      await clearJobs(trx, row.id);
      await trx('evaluations').where({ id: row.id }).update({ error_count: 1 });
      await insertJobs(trx, row.id, [
        {
          type: 'error',
          path: [],
          message: `The server ended ${mostTries} times while it evaluated this commit, so it was given up.`,
        },
      ]);
    }
    await onRevisionChanged(trx, row.revision_id, 'now');
  }
  if (rows.length > 0) await trx.raw('SELECT pg_notify(?, ?)', [evaluationsChannel, '']);
}

/** Gives back the evaluations of a process that stops. That says nothing against them. */
export async function putBackEvaluations(
  trx: Knex.Transaction,
  processId: number,
  onRevisionChanged: OnRevisionChanged,
): Promise<void> {
  await trx('evaluations')
    .where({ state: 'evaluating', process_id: processId })
    .update({ tries: trx.raw('greatest(tries - 1, 0)') });
  await releaseEvaluations(trx, [processId], onRevisionChanged);
}

/** Those of the evaluations that do not belong to this process any more. */
export async function takenAway(
  db: Knex,
  processId: number,
  evaluationIds: readonly number[],
): Promise<readonly number[]> {
  if (evaluationIds.length === 0) return [];
  const result: unknown = await db.raw(
    `SELECT w.id FROM unnest(?::bigint[]) AS w (id)
     WHERE NOT EXISTS (SELECT 1 FROM evaluations e
                       WHERE e.id = w.id AND e.state = 'evaluating' AND e.process_id = ?)`,
    [[...evaluationIds], processId],
  );
  return z
    .object({ rows: z.array(z.object({ id: z.number() })) })
    .parse(result)
    .rows.map((row) => row.id);
}
