import { z } from 'zod';
import { buildStateShape } from './jobs.ts';
import { type Reader, readRows } from './reader.ts';

const importShape = z.object({
  build_id: z.number(),
  drv_path: z.string(),
  name: z.string(),
  system: z.string(),
  state: buildStateShape,
  message: z.string(),
  started_at: z.date().nullable(),
  finished_at: z.date().nullable(),
});
export type ImportRow = z.infer<typeof importShape>;

/**
 * What was built because an evaluation reads what it makes, in the order of its beginning; of an
 * evaluation that stands on another, what was built for that one.
 */
export async function listImports(
  reader: Reader,
  evaluationId: number,
  { after = 0, limit }: { readonly after?: number; readonly limit: number },
): Promise<ImportRow[]> {
  return readRows(
    reader,
    importShape,
    `SELECT b.id AS build_id, b.drv_path, b.name, b.system, b.state, b.message, b.started_at, b.finished_at
     FROM evaluations e JOIN evaluation_imports m ON m.evaluation_id = coalesce(e.reused_from, e.id)
     JOIN builds b ON b.id = m.build_id
     JOIN revisions r ON r.id = e.revision_id JOIN projects p ON p.id = r.project_id
     WHERE e.id = :evaluationId AND b.id > :after AND (:showPrivate OR NOT p.private)
     ORDER BY b.id LIMIT :limit`,
    { evaluationId, after, limit },
  );
}
