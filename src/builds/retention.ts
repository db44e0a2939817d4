/**
 * The end of history: evaluations with their jobs, and builds with their attempts and logs, are
 * removed when they are old. A few at a time, so that no transaction is long; called every few
 * seconds, that keeps up with any server.
 *
 * Never removed: what is not over, builds that somebody keeps, what an unfinished or a kept job hangs on, and the newest
 * evaluation of each default branch, which badges and pages show however old it is.
 */
import type { Knex } from 'knex';
import { z } from 'zod';

const evaluationBatch = 50;
const buildBatch = 200;

export interface RemovedHistory {
  readonly evaluations: number;
  readonly builds: number;
}

/** Removes some of what ended more than `days` ago; 0 days: nothing, ever. */
export async function removeOldHistory(db: Knex, days: number): Promise<RemovedHistory> {
  if (days === 0) return { evaluations: 0, builds: 0 };
  const evaluations: unknown = await db.raw(
    `DELETE FROM evaluations WHERE id IN (
       SELECT e.id FROM evaluations e
       WHERE e.finished_at < now() - make_interval(days => :days)
         AND NOT EXISTS (
           SELECT 1 FROM revisions r JOIN projects p ON p.id = r.project_id
           JOIN revision_sources s ON s.revision_id = r.id AND s.kind = 'branch' AND s.name = p.default_branch
           WHERE r.id = e.revision_id AND NOT EXISTS (
             SELECT 1 FROM evaluations n JOIN revisions nr ON nr.id = n.revision_id
             JOIN revision_sources ns ON ns.revision_id = nr.id AND ns.kind = s.kind AND ns.name = s.name
             WHERE nr.project_id = r.project_id AND n.id > e.id))
       ORDER BY e.finished_at LIMIT :batch FOR UPDATE SKIP LOCKED)
     RETURNING id`,
    { days, batch: evaluationBatch },
  );
  // The inputs of a build go after it: until then, they say what it was made of.
  const old = `
    SELECT b.id FROM builds b
    WHERE b.finished_at < now() - make_interval(days => :days)
      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.build_id = b.id)
      AND NOT EXISTS (SELECT 1 FROM evaluation_imports m WHERE m.build_id = b.id)
      AND NOT EXISTS (SELECT 1 FROM build_inputs i JOIN builds d ON d.id = i.build_id
                      WHERE i.input_build_id = b.id AND d.finished_at IS NULL)
      AND NOT EXISTS (SELECT 1 FROM builds d WHERE d.culprit_build_id = b.id)
      AND NOT EXISTS (SELECT 1 FROM kept_builds k WHERE k.build_id = b.id)
      AND NOT EXISTS (SELECT 1 FROM build_checks c WHERE c.build_id = b.id AND c.finished_at IS NULL)
    ORDER BY b.finished_at LIMIT :batch`;
  const due: unknown = await db.raw(old, { days, batch: 1 });
  const builds =
    countOf(due) === 0
      ? 0
      : await db.transaction(async (trx) => {
          // Before any row is held: who hangs jobs on builds has this lock first, too, and then asks for rows.
          await trx.raw('SELECT pg_advisory_xact_lock(jobs_hang_on_builds_lock())');
          const removed: unknown = await trx.raw(
            `DELETE FROM builds WHERE id IN (${old} FOR UPDATE SKIP LOCKED) RETURNING id`,
            { days, batch: buildBatch },
          );
          return countOf(removed);
        });
  // Later than any failure stands for a new wish: the longest setting is a hundred days.
  await db.raw(`DELETE FROM forgotten_failures WHERE forgotten_at < now() - interval '101 days'`);
  return { evaluations: countOf(evaluations), builds };
}

function countOf(result: unknown): number {
  return z.object({ rows: z.array(z.unknown()) }).parse(result).rows.length;
}
