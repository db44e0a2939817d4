import { z } from 'zod';
import { type BuildState, finishedStates, unfinishedStates } from '../../builds/index.ts';
import { type JobGroup, jobGroupSql, jobGroups } from './job-counts.ts';
import { type Reader, readRow, readRows } from './reader.ts';

export const buildStates = [...unfinishedStates, ...finishedStates] as const satisfies readonly BuildState[];
/** What a job can be: its build's state, known before, or never evaluated. */
export const jobStates = [...buildStates, 'cached', 'evaluation-error'] as const;
export type JobState = (typeof jobStates)[number];

export const buildStateShape = z.enum(buildStates);
const outputsShape = z.record(z.string(), z.string().nullable());

export const jobShape = z.object({
  id: z.number(),
  evaluation_id: z.number(),
  path: z.array(z.string()),
  drv_path: z.string().nullable(),
  name: z.string().nullable(),
  system: z.string().nullable(),
  outputs: outputsShape.nullable(),
  mark: z.string(),
  error: z.string().nullable(),
  error_file: z.string().nullable(),
  error_line: z.number().nullable(),
  error_column: z.number().nullable(),
  build_id: z.number().nullable(),
  state: z.enum(jobStates),
  job_group: z.enum(jobGroups),
  message: z.string().nullable(),
  culprit_name: z.string().nullable(),
  /** The build whose failure stands for this one's. */
  cached_failure_of: z.number().nullable(),
  builder: z.string().nullable(),
  started_at: z.date().nullable(),
  finished_at: z.date().nullable(),
});
export type JobRow = z.infer<typeof jobShape>;

const jobStateSql = `CASE WHEN j.error IS NOT NULL THEN 'evaluation-error' WHEN j.cached THEN 'cached'
  WHEN b.state IS NOT NULL THEN b.state WHEN e.finished_at IS NOT NULL THEN 'cancelled' ELSE 'queued' END`;

export const jobColumns = `j.id, j.evaluation_id, j.path, j.drv_path, j.name, j.system, j.outputs, j.mark, j.error,
  j.error_file, j.error_line, j.error_column, j.build_id, ${jobStateSql} AS state,
  ${jobGroupSql} AS job_group, b.message, culprit.name AS culprit_name, b.cached_failure_of, b.started_at, b.finished_at,
  (SELECT a.builder FROM attempts a WHERE a.build_id = b.id AND b.state = 'building'
   ORDER BY a.id DESC LIMIT 1) AS builder`;

export const jobJoins = `JOIN evaluations e ON e.id = j.evaluation_id
  JOIN revisions r ON r.id = e.revision_id JOIN projects p ON p.id = r.project_id
  LEFT JOIN builds b ON b.id = j.build_id LEFT JOIN builds culprit ON culprit.id = b.culprit_build_id`;

export const visibleJobs = '(:showPrivate OR NOT p.private)';

/** Part of a path's readable spelling; good enough to look for a piece of it. */
const matches = `(:query = '' OR strpos(lower(array_to_string(j.path, '.')), lower(:query)) > 0
  OR strpos(lower(coalesce(j.name, '')), lower(:query)) > 0)`;

export interface JobFilter {
  /** Part of an attribute path or derivation name; empty for all. */
  readonly query: string;
  readonly group: JobGroup | undefined;
}

const order = `array_position(ARRAY[${jobGroups.map((name) => `'${name}'`).join(',')}], job_group)`;

const grouped = `SELECT * FROM (
  SELECT j.id, j.path, ${jobGroupSql} AS job_group FROM jobs j
  JOIN evaluations e ON e.id = j.evaluation_id LEFT JOIN builds b ON b.id = j.build_id
  WHERE j.evaluation_id = :evaluationId AND ${matches}) every WHERE :group = '' OR job_group = :group`;

/** Jobs for people: bad first, then running, queued and good, each by path. */
export async function listJobs(
  reader: Reader,
  evaluationId: number,
  { query, group, offset, limit }: JobFilter & { readonly offset: number; readonly limit: number },
): Promise<JobRow[]> {
  return readRows(
    reader,
    jobShape,
    // Sorted narrow, then widened: only the rows of the page are joined with everything.
    `SELECT ${jobColumns} FROM (
       SELECT id, row_number() OVER (ORDER BY ${order}, path) AS place FROM (${grouped}) grouped
       ORDER BY place LIMIT :limit OFFSET :offset) page
     JOIN jobs j ON j.id = page.id ${jobJoins} WHERE ${visibleJobs} ORDER BY page.place`,
    { evaluationId, query, group: group ?? '', limit, offset },
  );
}

/** How many jobs a filter leaves. */
export async function countMatching(
  reader: Reader,
  evaluationId: number,
  { query, group }: JobFilter,
): Promise<number> {
  const row = await readRow(
    reader,
    z.object({ number: z.number() }),
    `SELECT count(*) AS number FROM (${grouped}) grouped`,
    { evaluationId, query, group: group ?? '' },
  );
  return row?.number ?? 0;
}

/** Evaluation errors, by path; what went wrong before anything was built. */
export async function listEvaluationErrors(
  reader: Reader,
  evaluationId: number,
  limit: number,
): Promise<JobRow[]> {
  return readRows(
    reader,
    jobShape,
    `SELECT ${jobColumns} FROM jobs j ${jobJoins}
     WHERE j.evaluation_id = :evaluationId AND j.error IS NOT NULL AND ${visibleJobs} ORDER BY j.path LIMIT :limit`,
    { evaluationId, limit },
  );
}

/** Jobs for programs, in the order of their ids. */
export async function pageJobs(
  reader: Reader,
  evaluationId: number,
  filter: {
    readonly after: number;
    readonly limit: number;
    readonly state: JobState | undefined;
    readonly query: string;
  },
): Promise<JobRow[]> {
  return readRows(
    reader,
    jobShape,
    `SELECT ${jobColumns} FROM jobs j ${jobJoins}
     WHERE j.evaluation_id = :evaluationId AND j.id > :after AND ${matches} AND ${visibleJobs}
       AND (:state = '' OR ${jobStateSql} = :state) ORDER BY j.id LIMIT :limit`,
    { evaluationId, ...filter, state: filter.state ?? '' },
  );
}

/** One job by its id. */
export async function readJob(reader: Reader, id: number): Promise<JobRow | undefined> {
  return readRow(
    reader,
    jobShape,
    `SELECT ${jobColumns} FROM jobs j ${jobJoins} WHERE j.id = :id AND ${visibleJobs}`,
    {
      id,
    },
  );
}

/** One job by its path in an evaluation. */
export async function findJob(
  reader: Reader,
  evaluationId: number,
  path: readonly string[],
): Promise<JobRow | undefined> {
  return readRow(
    reader,
    jobShape,
    `SELECT ${jobColumns} FROM jobs j ${jobJoins}
     WHERE j.evaluation_id = :evaluationId AND j.path = CAST(:path AS text[]) AND ${visibleJobs}`,
    { evaluationId, path },
  );
}

const historyShape = jobShape.extend({ sha: z.string(), title: z.string(), queued_at: z.date() });
export type JobHistoryRow = z.infer<typeof historyShape>;

/** The same attribute in the project's newest evaluations, newest first. */
export async function listJobHistory(
  reader: Reader,
  projectId: number,
  path: readonly string[],
  limit: number,
): Promise<JobHistoryRow[]> {
  return readRows(
    reader,
    historyShape,
    `SELECT ${jobColumns}, r.sha, r.title, e.queued_at FROM (
       SELECT e.id FROM evaluations e JOIN revisions r ON r.id = e.revision_id
       WHERE r.project_id = :projectId ORDER BY e.id DESC LIMIT 50) newest
     JOIN jobs j ON j.evaluation_id = newest.id AND j.path = CAST(:path AS text[]) ${jobJoins}
     WHERE ${visibleJobs} ORDER BY e.id DESC LIMIT :limit`,
    { projectId, path, limit },
  );
}

const placeShape = z.object({
  build_id: z.number(),
  owner: z.string(),
  project: z.string(),
  sha: z.string(),
  path: z.array(z.string()),
});
export type JobPlace = z.infer<typeof placeShape>;

/**
 * The newest visible job of each of these builds: where a build can be read about. One of the evaluation
 * that is being looked at comes first: builds are shared, and readers are not to end up elsewhere.
 */
export async function findJobsOfBuilds(
  reader: Reader,
  buildIds: readonly number[],
  evaluationId: number,
): Promise<ReadonlyMap<number, JobPlace>> {
  if (buildIds.length === 0) return new Map();
  const rows = await readRows(
    reader,
    placeShape,
    `SELECT DISTINCT ON (j.build_id) j.build_id, p.owner, p.name AS project, r.sha, j.path FROM jobs j
     JOIN evaluations e ON e.id = j.evaluation_id JOIN revisions r ON r.id = e.revision_id
     JOIN projects p ON p.id = r.project_id
     WHERE j.build_id = ANY(:buildIds) AND ${visibleJobs} ORDER BY j.build_id, j.evaluation_id = :evaluationId DESC, j.id DESC`,
    { buildIds, evaluationId },
  );
  return new Map(rows.map((row) => [row.build_id, row]));
}
