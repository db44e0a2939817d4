import { z } from 'zod';
import { jobColumns, jobJoins, jobShape, visibleJobs } from './jobs.ts';
import { type Reader, readRows } from './reader.ts';

const historyShape = jobShape.extend({
  sha: z.string(),
  title: z.string(),
  owner: z.string(),
  project: z.string(),
  queued_at: z.date(),
});
export type AttributeHistoryRow = z.infer<typeof historyShape>;

/** Evaluations of a branch that are looked into for one answer. */
const searchedEvaluations = 500;

export interface AttributeHistoryRequest {
  readonly projectId: number;
  readonly branch: string;
  readonly path: readonly string[];
  /** Only evaluations before this one; undefined for the newest. */
  readonly before: number | undefined;
  /** Only those whose result is there. */
  readonly good: boolean;
  readonly limit: number;
}

/** What became of an attribute in the evaluations of a branch, newest first. */
export async function listAttributeHistory(
  reader: Reader,
  { projectId, branch, path, before, good, limit }: AttributeHistoryRequest,
): Promise<AttributeHistoryRow[]> {
  return readRows(
    reader,
    historyShape,
    `SELECT ${jobColumns}, r.sha, r.title, p.owner, p.name AS project, e.queued_at FROM (
       SELECT e.id FROM revision_sources s JOIN revisions r ON r.id = s.revision_id
       JOIN evaluations e ON e.revision_id = r.id
       WHERE r.project_id = :projectId AND s.kind = 'branch' AND s.name = :branch AND (:before = 0 OR e.id < :before)
       ORDER BY e.id DESC LIMIT ${searchedEvaluations}) newest
     JOIN jobs j ON j.evaluation_id = newest.id AND j.path = CAST(:path AS text[]) ${jobJoins}
     WHERE ${visibleJobs} AND (NOT :good OR j.mark <> 'dependencies-only' AND (j.cached OR b.state = 'succeeded'))
     ORDER BY e.id DESC LIMIT :limit`,
    { projectId, branch, path, before: before ?? 0, good, limit },
  );
}
