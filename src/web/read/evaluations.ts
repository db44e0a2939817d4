import { z } from 'zod';
import { countJobs, type JobCounts, noJobs } from './job-counts.ts';
import { type Reader, readRow } from './reader.ts';
import { evaluationShape, evaluationSql } from './revision-lines.ts';

const shape = z.object({
  evaluation: evaluationShape,
  revision_id: z.number(),
  owner: z.string(),
  project: z.string(),
  sha: z.string(),
});

export type EvaluationDetails = z.infer<typeof shape> & { readonly counts: JobCounts };

/** One evaluation by its id, if visitors may see its project. */
export async function readEvaluation(reader: Reader, id: number): Promise<EvaluationDetails | undefined> {
  const row = await readRow(
    reader,
    shape,
    `SELECT ${evaluationSql} AS evaluation, e.revision_id, p.owner, p.name AS project, r.sha
     FROM evaluations e JOIN revisions r ON r.id = e.revision_id JOIN projects p ON p.id = r.project_id
     WHERE e.id = :id AND (:showPrivate OR NOT p.private)`,
    { id },
  );
  if (!row) return undefined;
  const counts = await countJobs(reader, [row.evaluation]);
  return { ...row, counts: counts.get(id) ?? noJobs };
}
