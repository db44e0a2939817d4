/** What only the page of one revision tells: who approved it, what it stands on, what took its place, when it ends. */
import { z } from 'zod';
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
    line.evaluation?.state === 'building' ? estimate(reader, line.evaluation.id) : undefined,
  ]);
  const nothing = { approved_by: null, approved_at: null, superseded_by: null, reused_from: null };
  return { ...(row ?? nothing), remainingMs };
}

const estimateShape = z.object({
  builds: z.number(),
  known: z.number(),
  work_ms: z.number().nullable(),
  longest_ms: z.number().nullable(),
  slots: z.number().nullable(),
});

/**
 * The work that is left over the slots there are, and not less than the longest path. Of builds without
 * a history nothing is known; where they are most, an estimate would be an invention.
 */
async function estimate(reader: Reader, evaluationId: number): Promise<number | undefined> {
  const row = await readRow(
    reader,
    estimateShape,
    `WITH RECURSIVE needed (id) AS (
       SELECT b.id FROM jobs j JOIN builds b ON b.id = j.build_id
       WHERE j.evaluation_id = :evaluationId AND b.finished_at IS NULL
       UNION SELECT i.input_build_id FROM needed JOIN build_inputs i ON i.build_id = needed.id
       JOIN builds b ON b.id = i.input_build_id AND b.finished_at IS NULL)
     SELECT count(*) AS builds, count(d.name) AS known,
       sum(greatest(0, d.mean_ms - CASE WHEN b.state = 'building'
         THEN extract(epoch FROM now() - b.started_at) * 1000 ELSE 0 END))::float8 AS work_ms,
       max(b.remaining_ms - CASE WHEN b.state = 'building'
         THEN extract(epoch FROM now() - b.started_at) * 1000 ELSE 0 END)::float8 AS longest_ms,
       (SELECT sum(slots)::float8 FROM builders WHERE process_id IS NOT NULL AND enabled AND NOT draining
        AND removed_at IS NULL) AS slots
     FROM needed JOIN builds b ON b.id = needed.id
     LEFT JOIN build_durations d ON d.name = b.name AND d.system = b.system`,
    { evaluationId },
  );
  if (!row || row.builds === 0 || row.known * 2 < row.builds || !row.slots) return undefined;
  // Those without a history are taken to be like the others.
  const work = ((row.work_ms ?? 0) * row.builds) / row.known;
  return Math.max(work / row.slots, row.longest_ms ?? 0);
}
