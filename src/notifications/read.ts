/** Reads what there is to tell of a revision: for each of its branches, how its evaluation ended. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { formatAttributePath } from '../evaluations/index.ts';

const endedRow = z.object({
  project_id: z.number(),
  owner: z.string(),
  name: z.string(),
  default_branch: z.string(),
  branch: z.string(),
  seen_at: z.date(),
  sha: z.string(),
  title: z.string(),
  author: z.string(),
  evaluation_id: z.number(),
  state: z.enum(['succeeded', 'failed']),
  attributes: z.number(),
  finished_at: z.date(),
});
export type EndedOnBranch = z.infer<typeof endedRow>;

/** By branch, in the order in which verdicts are locked. Nothing while an evaluation goes on. */
export async function readEnded(db: Knex, revisionId: number): Promise<readonly EndedOnBranch[]> {
  const result: unknown = await db.raw(
    `SELECT p.id AS project_id, p.owner, p.name, p.default_branch, s.name AS branch, s.seen_at, r.sha, r.title,
            r.author, e.id AS evaluation_id, e.state, e.job_count + e.error_count AS attributes, e.finished_at
     FROM revisions r JOIN projects p ON p.id = r.project_id
     JOIN revision_sources s ON s.revision_id = r.id AND s.kind = 'branch'
     CROSS JOIN LATERAL (SELECT * FROM evaluations WHERE revision_id = r.id ORDER BY id DESC LIMIT 1) e
     WHERE r.id = ? AND p.enabled AND e.state IN ('succeeded', 'failed') ORDER BY s.name`,
    [revisionId],
  );
  return z.object({ rows: z.array(endedRow) }).parse(result).rows;
}

const failureRow = z.object({
  path: z.array(z.string()),
  is_new: z.boolean(),
  failing: z.number(),
  fresh: z.number(),
});

export interface Failures {
  readonly failing: number;
  readonly newlyFailing: number;
  readonly paths: readonly string[];
}

/** As an evaluation is judged when it ends: marks count, and what was cancelled is no failure. */
const failedJobs = `SELECT j.path FROM jobs j LEFT JOIN builds b ON b.id = j.build_id
  WHERE j.evaluation_id = ? AND (j.error IS NOT NULL OR j.mark <> 'may-fail'
    AND (j.cached OR b.state IS DISTINCT FROM 'cancelled')
    AND coalesce(j.cached OR b.state = 'succeeded', false) = (j.mark = 'must-fail'))`;

/** What failed, and how much of it did not in the evaluation before. The first `limit` are named, new ones first. */
export async function readFailures(
  db: Knex,
  {
    evaluationId,
    before,
    limit,
  }: { readonly evaluationId: number; readonly before: number | undefined; readonly limit: number },
): Promise<Failures> {
  const result: unknown = await db.raw(
    `WITH failed AS (${failedJobs}), old AS (${failedJobs}),
     marked AS (SELECT f.path, NOT EXISTS (SELECT 1 FROM old WHERE old.path = f.path) AS is_new FROM failed f)
     SELECT path, is_new, count(*) OVER () AS failing, count(*) FILTER (WHERE is_new) OVER () AS fresh
     FROM marked ORDER BY is_new DESC, path LIMIT ?`,
    [evaluationId, before ?? 0, limit],
  );
  const { rows } = z.object({ rows: z.array(failureRow) }).parse(result);
  return {
    failing: rows[0]?.failing ?? 0,
    newlyFailing: rows[0]?.fresh ?? 0,
    paths: rows.map(({ path }) => formatAttributePath(path)),
  };
}
