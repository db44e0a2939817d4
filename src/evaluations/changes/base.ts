/** Which evaluation another one is compared with. */
import type { Knex } from 'knex';
import { z } from 'zod';

export interface Base {
  readonly evaluationId: number;
  readonly sha: string;
  readonly branch: string;
}

const baseRow = z.object({ evaluation_id: z.number(), sha: z.string(), branch: z.string() });

/** Revisions of the project among which the base is looked for: a branch that rests longer has none. */
const lookBack = 2_000;

/**
 * Of a pull request or a group of a merge queue: the newest evaluation of the branch that it is to be
 * merged into. Of a branch: that of the commit before, and of a new branch that of the default branch.
 * Only evaluations whose attributes are known count. Undefined where there is none.
 */
export async function findBase(db: Knex, evaluationId: number): Promise<Base | undefined> {
  const result: unknown = await db.raw(
    `WITH me AS (
       SELECT e.id, e.revision_id, r.project_id, p.default_branch
       FROM evaluations e JOIN revisions r ON r.id = e.revision_id JOIN projects p ON p.id = r.project_id
       WHERE e.id = :evaluationId
     ), wanted AS (
       SELECT 0 AS place, s.base_branch AS branch, s.seen_at, NULL::timestamptz AS before
       FROM me JOIN revision_sources s ON s.revision_id = me.revision_id WHERE s.base_branch IS NOT NULL
       UNION ALL
       SELECT 1, s.name, s.seen_at, s.seen_at FROM me JOIN revision_sources s ON s.revision_id = me.revision_id
       WHERE s.kind = 'branch' AND s.base_branch IS NULL
       UNION ALL
       SELECT 2, me.default_branch, NULL,
              (SELECT s.seen_at FROM revision_sources s WHERE s.revision_id = me.revision_id
                 AND s.kind = 'branch' AND s.name = me.default_branch)
       FROM me
     )
     SELECT b.evaluation_id, b.sha, w.branch FROM me CROSS JOIN wanted w CROSS JOIN LATERAL (
       SELECT e.id AS evaluation_id, r.sha
       FROM (SELECT id, sha FROM revisions WHERE project_id = me.project_id AND id <> me.revision_id
             ORDER BY id DESC LIMIT ${lookBack}) r
       JOIN revision_sources s ON s.revision_id = r.id
       JOIN LATERAL (SELECT id FROM evaluations n WHERE n.revision_id = r.id AND n.evaluated_at IS NOT NULL
                       AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.evaluation_id = n.id AND j.path = '{}'
                                         AND j.error IS NOT NULL)
                     ORDER BY n.id DESC LIMIT 1) e ON true
       WHERE s.kind = 'branch' AND s.name = w.branch AND (w.before IS NULL OR s.seen_at < w.before)
       ORDER BY s.seen_at DESC, r.id DESC LIMIT 1) b
     ORDER BY w.place, w.seen_at DESC NULLS LAST LIMIT 1`,
    { evaluationId },
  );
  const { rows } = z.object({ rows: z.array(baseRow) }).parse(result);
  const row = rows[0];
  return row && { evaluationId: row.evaluation_id, sha: row.sha, branch: row.branch };
}
