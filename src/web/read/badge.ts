import { z } from 'zod';
import { type Reader, readRow } from './reader.ts';

/** What a badge says. `unknown` is also the answer about what may not be known. */
export type BadgeState = 'passing' | 'failing' | 'pending' | 'unknown';

export interface BadgeQuestion {
  readonly owner: string;
  readonly name: string;
  /** Default: the repository's default branch. */
  readonly branch: string | undefined;
  /** An attribute's path; default: everything. */
  readonly job: readonly string[] | undefined;
}

const newestShape = z.object({ id: z.number(), state: z.string() });
const jobShape = z.object({
  mark: z.string(),
  error: z.string().nullable(),
  cached: z.boolean(),
  state: z.string().nullable(),
});

/** How the newest commit of a branch stands. Private repositories are as unknown as those that are not there. */
export async function readBadge(reader: Reader, question: BadgeQuestion): Promise<BadgeState> {
  // Until GitHub has told the default branch, the branch that was seen last stands in.
  const newest = await readRow(
    reader,
    newestShape,
    `SELECT e.id, e.state FROM projects p
     JOIN revisions r ON r.project_id = p.id
     JOIN revision_sources s ON s.revision_id = r.id AND s.kind = 'branch'
     JOIN LATERAL (SELECT id, state FROM evaluations WHERE revision_id = r.id ORDER BY id DESC LIMIT 1) e ON true
     WHERE lower(p.owner) = lower(:owner) AND lower(p.name) = lower(:name) AND NOT p.private AND p.enabled
       AND (s.name = coalesce(nullif(:branch, ''), p.default_branch) OR (:branch = '' AND p.default_branch = 'HEAD'))
     ORDER BY s.seen_at DESC, r.id DESC LIMIT 1`,
    { owner: question.owner, name: question.name, branch: question.branch ?? '' },
  );
  if (!newest) return 'unknown';
  if (question.job) return stateOfJob(reader, newest, question.job);
  if (newest.state === 'succeeded') return 'passing';
  if (newest.state === 'failed') return 'failing';
  return newest.state === 'cancelled' ? 'unknown' : 'pending';
}

async function stateOfJob(
  reader: Reader,
  evaluation: z.infer<typeof newestShape>,
  path: readonly string[],
): Promise<BadgeState> {
  const job = await readRow(
    reader,
    jobShape,
    `SELECT j.mark, j.error, j.cached, b.state FROM jobs j LEFT JOIN builds b ON b.id = j.build_id
     WHERE j.evaluation_id = :id AND j.path = :path::text[]`,
    { id: evaluation.id, path: [...path] },
  );
  if (!job) return ['queued', 'evaluating'].includes(evaluation.state) ? 'pending' : 'unknown';
  if (job.error !== null) return 'failing';
  if (job.cached || job.state === 'succeeded') return job.mark === 'must-fail' ? 'failing' : 'passing';
  if (job.state === null || ['blocked', 'queued', 'building'].includes(job.state)) return 'pending';
  if (job.state === 'cancelled') return 'unknown';
  return job.mark === 'may-fail' || job.mark === 'must-fail' ? 'passing' : 'failing';
}
