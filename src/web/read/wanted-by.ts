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
           ORDER BY j.id DESC LIMIT 1000) newest JOIN jobs j ON j.id = newest.id ${jobJoins}
     WHERE ${visibleJobs} ORDER BY j.build_id = :buildId DESC, j.id DESC LIMIT :limit`,
    { buildId, limit },
  );
}
