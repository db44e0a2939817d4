/** Reports of a revision that GitHub does not show as they were meant. */
import { z } from 'zod';
import { type Reader, readRows } from './reader.ts';

const troubledShape = z.object({
  name: z.string(),
  trouble: z.enum(['refused', 'shortened', 'unsent']),
  reason: z.string(),
});
export type TroubledReport = z.infer<typeof troubledShape>;

/**
 * What GitHub refused, took only in its shortest form, or has not been told yet since it did not
 * take it the last time; the gate's first. Ask only for revisions that visitors may see.
 */
export async function listTroubledReports(
  reader: Reader,
  revisionId: number,
  limit: number,
): Promise<TroubledReport[]> {
  return readRows(
    reader,
    troubledShape,
    `SELECT name, last_error AS reason,
       CASE WHEN given_up THEN 'refused' WHEN sent_version < version THEN 'unsent' ELSE 'shortened' END AS trouble
     FROM reports WHERE revision_id = :revisionId AND last_error IS NOT NULL
       AND (given_up OR degraded OR sent_version < version)
     ORDER BY given_up DESC, priority, id LIMIT :limit`,
    { revisionId, limit },
  );
}
