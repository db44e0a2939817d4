/** What only the page of one revision tells: who approved it, what it stands on, what took its place, when it ends. */
import { z } from 'zod';
import { estimateRemaining } from './estimate.ts';
import { type Reader, readRow } from './reader.ts';
import type { EvaluationRow } from './revision-lines.ts';

const otherShape = z.object({ owner: z.string(), project: z.string(), sha: z.string(), title: z.string() });
/** Another revision that visitors may see. */
export type OtherRevision = z.infer<typeof otherShape>;

const shape = z.object({
  approved_by: z.string().nullable(),
  approved_at: z.date().nullable(),
  superseded_by: otherShape.nullable(),
  reused_from: otherShape.nullable(),
});

export interface RevisionDetails extends z.infer<typeof shape> {
  /** Milliseconds until its builds have ended, from history; undefined: nobody knows. */
  readonly remainingMs: number | undefined;
}

const other = (
  column: string,
) => `(SELECT jsonb_build_object('owner', p.owner, 'project', p.name, 'sha', r.sha,
    'title', r.title)
  FROM evaluations o JOIN revisions r ON r.id = o.revision_id JOIN projects p ON p.id = r.project_id
  WHERE o.id = e.${column} AND (:showPrivate OR NOT p.private))`;

/** Ask only for revisions that were read as visible. */
export async function readRevisionDetails(
  reader: Reader,
  line: { readonly id: number; readonly evaluation: EvaluationRow | null },
): Promise<RevisionDetails> {
  const [row, remainingMs] = await Promise.all([
    readRow(
      reader,
      shape,
      `SELECT r.approved_by, r.approved_at, ${other('superseded_by')} AS superseded_by,
         ${other('reused_from')} AS reused_from
       FROM revisions r LEFT JOIN evaluations e ON e.id = :evaluationId AND e.revision_id = r.id
       WHERE r.id = :id`,
      { id: line.id, evaluationId: line.evaluation?.id ?? 0 },
    ),
    line.evaluation?.state === 'building' ? estimateRemaining(reader, line.evaluation.id) : undefined,
  ]);
  const nothing = { approved_by: null, approved_at: null, superseded_by: null, reused_from: null };
  return { ...(row ?? nothing), remainingMs };
}
