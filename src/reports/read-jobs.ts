/**
 * Loads the jobs of an evaluation as a report tells them: all, or of thousands those that may be shown, with
 * how many there are of each phase. A report is planned again and again while builds end.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { finishedStates, unfinishedStates } from '../builds/index.ts';
import type { BuildFacts, EvaluationFacts, JobFacts, ReportFacts } from './facts.ts';
import { judgedJobs, rankSql } from './job-phases.ts';
import { limits } from './limits.ts';
import { reportedPaths } from './names.ts';
import { phases } from './plan/verdict.ts';

type FoundJobs = Pick<ReportFacts, 'jobs' | 'totals' | 'causes'>;

/** `reportedChecks`: names of checks, whose jobs are read whatever became of them. */
export async function readJobs(
  db: Knex,
  evaluation: Pick<EvaluationFacts, 'id' | 'finishedAt' | 'state'> & { readonly jobsAtMost: number },
  reportedChecks: readonly string[],
): Promise<FoundJobs> {
  const few = evaluation.jobsAtMost <= limits.jobsRead;
  const ids = few ? undefined : await chooseJobs(db, evaluation, reportedChecks);
  const totals = few ? undefined : await countTotals(db, evaluation);
  const jobs = await readRows(db, evaluation.id, ids);
  const failed = jobs.filter(({ error, build }) => error || (build && build.state !== 'succeeded'));
  // While there are more to come each time, it is not worth looking through all of them.
  const shared = failed.length >= limits.sharedCause && (few || evaluation.state !== 'evaluating');
  const causes = shared ? await readCauses(db, evaluation) : [];
  return { jobs, ...(totals && { totals }), ...(causes.length > 0 && { causes }) };
}

const countRow = z.object({ phase: z.enum(phases), jobs: z.number(), errors: z.number() });

async function countTotals(db: Knex, evaluation: Pick<EvaluationFacts, 'id' | 'finishedAt'>) {
  const result: unknown = await db.raw(
    `SELECT phase, count(*) AS jobs, count(*) FILTER (WHERE error) AS errors
     FROM (${judgedJobs(evaluation)}) judged GROUP BY phase`,
    { evaluationId: evaluation.id },
  );
  const { rows } = z.object({ rows: z.array(countRow) }).parse(result);
  const of = (wanted: (typeof phases)[number]) => rows.find(({ phase }) => phase === wanted)?.jobs ?? 0;
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  return {
    counts: {
      bad: of('bad'),
      cancelled: of('cancelled'),
      building: of('building'),
      queued: of('queued'),
      tolerated: of('tolerated'),
      good: of('good'),
      all: sum(rows.map(({ jobs }) => jobs)),
    },
    errors: sum(rows.map(({ errors }) => errors)),
  };
}

const idRow = z.object({ id: z.number() });

/**
 * What did not evaluate, and what did not build, few of each cause before the rest, since the one among thousands
 * is looked for; then the others, worst first; and those with a check. Errors have places of their own: their check
 * is over when builds begin to fail, and GitHub only ever adds to its annotations.
 */
async function chooseJobs(
  db: Knex,
  evaluation: Pick<EvaluationFacts, 'id' | 'finishedAt'>,
  reportedChecks: readonly string[],
): Promise<readonly number[]> {
  const { joined, others } = reportedPaths(reportedChecks);
  const result: unknown = await db.raw(
    `WITH judged AS MATERIALIZED (${judgedJobs(evaluation)}),
     bad AS (SELECT id, path, error, follows,
               row_number() OVER (PARTITION BY coalesce(cause, id::text) ORDER BY path COLLATE "C") AS nth
             FROM judged WHERE phase = 'bad')
     (SELECT id FROM bad WHERE error ORDER BY nth > :few, path COLLATE "C" LIMIT :most)
     UNION (SELECT id FROM bad WHERE NOT error ORDER BY nth > :few, follows, path COLLATE "C" LIMIT :most)
     UNION (SELECT id FROM judged WHERE phase <> 'bad' ORDER BY ${rankSql}, path COLLATE "C" LIMIT :most)
     UNION (SELECT id FROM judged WHERE array_to_string(path, '.') = ANY (:joined)
              OR (:others AND (length(array_to_string(path, '.')) > 150 OR EXISTS (
                SELECT FROM unnest(path) name WHERE name !~ '^[A-Za-z_][A-Za-z0-9_''-]*$'))))`,
    {
      evaluationId: evaluation.id,
      few: limits.ofOneCause,
      most: limits.jobsRead,
      joined: [...joined],
      others,
    },
  );
  return z
    .object({ rows: z.array(idRow) })
    .parse(result)
    .rows.map(({ id }) => id);
}

const causeRow = z.object({
  attributes: z.number(),
  error: z.string().nullable(),
  error_file: z.string().nullable(),
  error_line: z.number().nullable(),
  state: z.enum(finishedStates).nullable(),
  message: z.string().nullable(),
  culprit: z.string().nullable(),
});

/** What more than a few jobs failed for, those of most jobs first: so many errors, and so many builds. */
async function readCauses(db: Knex, evaluation: Pick<EvaluationFacts, 'id' | 'finishedAt'>) {
  const result: unknown = await db.raw(
    `SELECT shared.attributes, j.error, j.error_file, j.error_line, b.state, b.message, c.name AS culprit
     FROM (SELECT count(*) AS attributes, min(id) AS example,
                  row_number() OVER (PARTITION BY error ORDER BY count(*) DESC, min(id)) AS nth
           FROM (${judgedJobs(evaluation)}) judged
           WHERE phase = 'bad' AND cause IS NOT NULL GROUP BY error, cause HAVING count(*) >= :least) shared
     JOIN jobs j ON j.id = shared.example LEFT JOIN builds b ON b.id = j.build_id
     LEFT JOIN builds c ON c.id = b.culprit_build_id
     WHERE nth <= :most ORDER BY shared.attributes DESC, j.id`,
    { evaluationId: evaluation.id, least: limits.sharedCause, most: limits.causesShown },
  );
  const { rows } = z.object({ rows: z.array(causeRow) }).parse(result);
  return rows.map(({ attributes, error, state, message, culprit, ...place }) => ({
    attributes,
    ...(error === null ? {} : { error: { message: error, location: locationOf(place) } }),
    ...(error !== null || state === null ? {} : { build: { state, message: message ?? '' } }),
    ...(culprit === null ? {} : { culprit }),
  }));
}

const buildState = z.enum([...unfinishedStates, ...finishedStates]);

const jobRow = z.object({
  path: z.array(z.string()),
  mark: z.enum(['regular', 'may-fail', 'must-fail', 'dependencies-only', 'effect']),
  drv_path: z.string().nullable(),
  name: z.string().nullable(),
  system: z.string().nullable(),
  error: z.string().nullable(),
  error_file: z.string().nullable(),
  error_line: z.number().nullable(),
  error_column: z.number().nullable(),
  cached: z.boolean(),
  build_id: z.number().nullable(),
  build_state: buildState.nullable(),
  build_message: z.string().nullable(),
  build_started_at: z.date().nullable(),
  build_finished_at: z.date().nullable(),
  attempt_id: z.number().nullable(),
  attempt_builder: z.string().nullable(),
  attempt_status: z.string().nullable(),
  culprit_name: z.string().nullable(),
  culprit_state: buildState.nullable(),
  culprit_message: z.string().nullable(),
  culprit_attempt_id: z.number().nullable(),
  specified_hash: z.string().nullable(),
  got_hash: z.string().nullable(),
});

/** All of them, or those with these ids. */
async function readRows(
  db: Knex,
  evaluationId: number,
  ids: readonly number[] | undefined,
): Promise<readonly JobFacts[]> {
  const result: unknown = await db.raw(
    `SELECT j.path, j.mark, j.drv_path, j.name, j.system, j.error, j.error_file, j.error_line, j.error_column,
            j.cached, b.id AS build_id, b.state AS build_state, b.message AS build_message,
            b.started_at AS build_started_at, b.finished_at AS build_finished_at,
            a.id AS attempt_id, a.builder AS attempt_builder, a.status AS attempt_status,
            c.name AS culprit_name, c.state AS culprit_state, c.message AS culprit_message,
            ca.id AS culprit_attempt_id,
            coalesce(c.specified_hash, b.specified_hash) AS specified_hash,
            coalesce(c.got_hash, b.got_hash) AS got_hash
     FROM jobs j
     LEFT JOIN builds b ON b.id = j.build_id
     LEFT JOIN LATERAL (SELECT id, builder, status FROM attempts WHERE build_id = b.id AND check_id IS NULL
                        ORDER BY id DESC LIMIT 1) a ON true
     LEFT JOIN builds c ON c.id = b.culprit_build_id
     LEFT JOIN LATERAL (SELECT id FROM attempts WHERE build_id = c.id ORDER BY id DESC LIMIT 1) ca ON true
     WHERE j.evaluation_id = :evaluationId AND (CAST(:ids AS bigint[]) IS NULL OR j.id = ANY (:ids))
     ORDER BY j.id`,
    { evaluationId, ids: ids ? [...ids] : null },
  );
  const { rows } = z.object({ rows: z.array(jobRow) }).parse(result);
  return rows.map(jobFacts);
}

function jobFacts(row: z.infer<typeof jobRow>): JobFacts {
  return {
    path: row.path,
    mark: row.mark,
    drvPath: row.drv_path ?? undefined,
    name: row.name ?? undefined,
    system: row.system ?? undefined,
    error: row.error === null ? undefined : { message: row.error, location: locationOf(row) },
    cached: row.cached,
    build: buildFacts(row),
  };
}

function locationOf(row: {
  readonly error_file: string | null;
  readonly error_line: number | null;
  readonly error_column?: number | null;
}) {
  if (row.error_file === null || row.error_line === null) return undefined;
  const column = row.error_column == null ? {} : { column: row.error_column };
  return { file: row.error_file, line: row.error_line, ...column };
}

function buildFacts(row: z.infer<typeof jobRow>): BuildFacts | undefined {
  if (row.build_id === null || row.build_state === null) return undefined;
  const culprit =
    row.culprit_name === null || row.culprit_state === null
      ? undefined
      : { name: row.culprit_name, state: row.culprit_state, message: row.culprit_message ?? '' };
  return {
    id: row.build_id,
    state: row.build_state,
    message: row.build_message ?? '',
    builder: row.attempt_builder ?? undefined,
    attemptStatus: row.attempt_status ?? undefined,
    startedAt: row.build_started_at ?? undefined,
    finishedAt: row.build_finished_at ?? undefined,
    culprit,
    hashes:
      row.specified_hash === null || row.got_hash === null
        ? undefined
        : { specified: row.specified_hash, got: row.got_hash },
    logAttemptId: (culprit ? row.culprit_attempt_id : row.attempt_id) ?? undefined,
    log: undefined,
  };
}
