/** Which attributes a build is for. */
import { z } from 'zod';
import { jobColumns, jobJoins, jobShape, visibleJobs } from './jobs.ts';
import { type Reader, readRows } from './reader.ts';

const wantedShape = jobShape.extend({
  owner: z.string(),
  project: z.string(),
  sha: z.string(),
  title: z.string(),
});
export type WantedBy = z.infer<typeof wantedShape>;

/** The newest visible jobs that have the build, or something that needs it; those that have it first. */
export async function listWantedBy(reader: Reader, buildId: number, limit: number): Promise<WantedBy[]> {
  return readRows(
    reader,
    wantedShape,
    `WITH RECURSIVE needing (id) AS (
       SELECT CAST(:buildId AS bigint)
       UNION SELECT i.build_id FROM build_inputs i JOIN needing ON i.input_build_id = needing.id)
     SELECT ${jobColumns}, p.owner, p.name AS project, r.sha, r.title
     FROM (SELECT j.id FROM needing JOIN jobs j ON j.build_id = needing.id
           JOIN evaluations e ON e.id = j.evaluation_id JOIN revisions r ON r.id = e.revision_id
           JOIN projects p ON p.id = r.project_id
           WHERE ${visibleJobs} ORDER BY j.build_id = :buildId DESC, j.id DESC LIMIT :limit) newest
     JOIN jobs j ON j.id = newest.id ${jobJoins}
     ORDER BY j.build_id = :buildId DESC, j.id DESC`,
    { buildId, limit },
  );
}

/** Visible revisions of which a job has the build, or something that needs it, or whose evaluation needed it. */
export async function listWantingRevisions(reader: Reader, buildId: number): Promise<ReadonlySet<number>> {
  const rows = await readRows(
    reader,
    z.object({ id: z.number() }),
    `WITH RECURSIVE needing (id) AS (
       SELECT CAST(:buildId AS bigint)
       UNION SELECT i.build_id FROM build_inputs i JOIN needing ON i.input_build_id = needing.id)
     SELECT DISTINCT r.id FROM needing
     JOIN (SELECT build_id, evaluation_id FROM jobs
           UNION ALL SELECT build_id, evaluation_id FROM evaluation_imports) j ON j.build_id = needing.id
     JOIN evaluations e ON e.id = j.evaluation_id JOIN revisions r ON r.id = e.revision_id
     JOIN projects p ON p.id = r.project_id WHERE ${visibleJobs}`,
    { buildId },
  );
  return new Set(rows.map(({ id }) => id));
}
