/** Revisions with their newest evaluation: the line that lists, headers and the API are made of. */
import { z } from 'zod';
import { countJobs, type JobCounts, noJobs } from './job-counts.ts';
import { type Reader, readRows } from './reader.ts';

export const evaluationStates = [
  'queued',
  'evaluating',
  'building',
  'succeeded',
  'failed',
  'cancelled',
] as const;

const noticeShape = z.object({ message: z.string() });

export const evaluationShape = z.object({
  id: z.number(),
  state: z.enum(evaluationStates),
  waiting_for: z.string().nullable(),
  cancel_reason: z.string().nullable(),
  superseded_by: z.number().nullable(),
  reused_from: z.number().nullable(),
  /** The commit of that one; of the same project, always. */
  reused_sha: z.string().nullable(),
  file: z.string().nullable(),
  evaluator: z.string().nullable(),
  job_count: z.number(),
  error_count: z.number(),
  notices: z.array(z.unknown()).transform((list) => list.flatMap(noticeMessage)),
  queued_at: z.coerce.date(),
  started_at: z.coerce.date().nullable(),
  evaluated_at: z.coerce.date().nullable(),
  finished_at: z.coerce.date().nullable(),
});
export type EvaluationRow = z.infer<typeof evaluationShape>;

const passedOverShape = z.object({ reason: z.string() });

const sourceShape = z.object({
  kind: z.enum(['branch', 'pull-request', 'tag']),
  name: z.string(),
  base_branch: z.string().nullable(),
  title: z.string(),
  /** Set where the repository's settings leave the commit out. */
  passed_over: passedOverShape.nullable().catch(null),
  seen_at: z.coerce.date(),
});
export type RevisionSource = z.infer<typeof sourceShape>;

const lineShape = z.object({
  id: z.number(),
  owner: z.string(),
  project: z.string(),
  sha: z.string(),
  trust: z.enum(['trusted', 'needs-approval']),
  trust_reason: z.string().nullable(),
  title: z.string(),
  author: z.string(),
  created_at: z.coerce.date(),
  evaluation: evaluationShape.nullable(),
  sources: z.array(sourceShape),
});

export type RevisionLine = z.infer<typeof lineShape> & { readonly counts: JobCounts };

/** Notices are stored as texts or as events with a message. */
function noticeMessage(notice: unknown): string[] {
  if (typeof notice === 'string') return [notice];
  const parsed = noticeShape.safeParse(notice);
  return parsed.success ? [parsed.data.message] : [];
}

/** What `evaluationShape` reads, of an evaluation e. */
export const evaluationSql = `to_jsonb(e) || jsonb_build_object('reused_sha', (
  SELECT o_r.sha FROM evaluations o JOIN revisions o_r ON o_r.id = o.revision_id WHERE o.id = e.reused_from))`;

const columns = `
  r.id, p.owner, p.name AS project, r.sha, r.trust, r.trust_reason, r.title, r.author, r.created_at,
  (SELECT ${evaluationSql} FROM evaluations e WHERE e.revision_id = r.id ORDER BY e.id DESC LIMIT 1) AS evaluation,
  coalesce((SELECT jsonb_agg(to_jsonb(s) ORDER BY s.seen_at DESC) FROM revision_sources s
            WHERE s.revision_id = r.id), '[]') AS sources`;

/** Runs a statement whose `selected(id)` names revisions, and reads a line for each, in its order. */
async function readLines(reader: Reader, selected: string, bindings: Parameters<typeof readRows>[3]) {
  const rows = await readRows(
    reader,
    lineShape,
    `WITH selected AS (${selected})
     SELECT ${columns} FROM selected
     JOIN revisions r ON r.id = selected.id JOIN projects p ON p.id = r.project_id
     WHERE (:showPrivate OR NOT p.private) ORDER BY selected.place, r.id DESC`,
    bindings,
  );
  const evaluations = rows.flatMap((row) => (row.evaluation ? [row.evaluation] : []));
  const counts = await countJobs(reader, evaluations);
  return rows.map(
    (row): RevisionLine => ({ ...row, counts: (row.evaluation && counts.get(row.evaluation.id)) ?? noJobs }),
  );
}

/** The revision with this id, or undefined. */
export async function readRevision(reader: Reader, id: number): Promise<RevisionLine | undefined> {
  return (await readLines(reader, 'SELECT CAST(:id AS bigint) AS id, 1 AS place', { id }))[0];
}

/** Revisions of a project whose SHA starts so; two are enough to know that it is ambiguous. */
export async function findRevisions(
  reader: Reader,
  projectId: number,
  shaPrefix: string,
): Promise<RevisionLine[]> {
  return readLines(
    reader,
    `SELECT id, 1 AS place FROM revisions
     WHERE project_id = :projectId AND sha >= :prefix AND sha < :prefix || 'g' LIMIT 2`,
    { projectId, prefix: shaPrefix },
  );
}

/** Newest first, before the revision `before` where given. */
export async function listRevisions(
  reader: Reader,
  projectId: number,
  { before, limit }: { readonly before: number | undefined; readonly limit: number },
): Promise<RevisionLine[]> {
  return readLines(
    reader,
    `SELECT id, 1 AS place FROM revisions
     WHERE project_id = :projectId AND id < :before ORDER BY id DESC LIMIT :limit`,
    { projectId, before: before ?? Number.MAX_SAFE_INTEGER, limit },
  );
}

/** The newest revision each branch, tag or pull request of a project points at, last seen first; not of those that are over. */
export async function listHeads(
  reader: Reader,
  projectId: number,
  { kind, limit }: { readonly kind: RevisionSource['kind']; readonly limit: number },
): Promise<RevisionLine[]> {
  return readLines(
    reader,
    `SELECT id, row_number() OVER (ORDER BY seen_at DESC) AS place FROM (
       SELECT DISTINCT ON (s.name) r.id, s.seen_at, s.ended_at FROM revisions r
       JOIN revision_sources s ON s.revision_id = r.id AND s.kind = :kind
       WHERE r.project_id = :projectId ORDER BY s.name, s.seen_at DESC, r.id DESC) heads
     WHERE ended_at IS NULL ORDER BY seen_at DESC LIMIT :limit`,
    { projectId, kind, limit },
  );
}

/** Revisions that a branch or pull request pointed at, last seen first. */
export async function listHistory(
  reader: Reader,
  projectId: number,
  source: { readonly kind: RevisionSource['kind']; readonly name: string; readonly limit: number },
): Promise<RevisionLine[]> {
  return readLines(
    reader,
    `SELECT r.id, row_number() OVER (ORDER BY s.seen_at DESC, r.id DESC) AS place FROM revisions r
     JOIN revision_sources s ON s.revision_id = r.id AND s.kind = :kind AND s.name = :name
     WHERE r.project_id = :projectId ORDER BY s.seen_at DESC, r.id DESC LIMIT :limit`,
    { projectId, ...source },
  );
}

/** The head of the default branch of each of these projects, by project id. */
export async function readDefaultHeads(
  reader: Reader,
  projectIds: readonly number[],
): Promise<ReadonlyMap<string, RevisionLine>> {
  const lines = await readLines(
    reader,
    `SELECT head.id, p.id AS place FROM projects p CROSS JOIN LATERAL (
       SELECT r.id FROM (SELECT id FROM revisions WHERE project_id = p.id ORDER BY id DESC LIMIT 500) r
       JOIN revision_sources s ON s.revision_id = r.id AND s.kind = 'branch' AND s.name = p.default_branch
       ORDER BY s.seen_at DESC, r.id DESC LIMIT 1) head
     WHERE p.id = ANY(:projectIds)`,
    { projectIds },
  );
  return new Map(lines.map((line) => [`${line.owner}/${line.project}`, line]));
}
