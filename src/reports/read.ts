/** Loads what a report says from the database: some ten queries, and one more for each log's end. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { failureStates, finishedStates, unfinishedStates } from '../builds/index.ts';
import { type EvaluationNotice, type PassedOver, readChanges } from '../evaluations/index.ts';
import { tailLog } from '../logs/index.ts';
import { settingsReview } from '../projects/index.ts';
import type { BuildFacts, EvaluationFacts, JobFacts, LogTail, ReportFacts } from './facts.ts';
import { limits } from './limits.ts';
import { placesByAttempt } from './places/read.ts';
import { chooseOwnChecks } from './plan/selection.ts';
import { judgeJobs } from './plan/verdict.ts';
import { readApplying } from './read-applying.ts';

/** What is read of a log, the most that is shown: of failures, and of what was built well. */
const tails = {
  failed: { lines: 60, maxBytes: 16 * 1024 },
  good: { lines: 20, maxBytes: 8 * 1024 },
} as const;

const buildState = z.enum([...unfinishedStates, ...finishedStates]);
/** As the evaluation stores it: its place, where it has one, beside its words. */
const notice = z
  .object({
    message: z.string(),
    file: z.string().optional(),
    line: z.number().optional(),
    column: z.number().exactOptional(),
  })
  .transform(({ message, file, line, column }): EvaluationNotice => {
    const place = column === undefined ? {} : { column };
    const location = file === undefined || line === undefined ? undefined : { file, line, ...place };
    return { type: 'notice', message, ...(location ? { location } : {}) };
  });

const revisionRow = z.object({
  sha: z.string(),
  trust: z.enum(['trusted', 'needs-approval']),
  trust_reason: z.string().nullable(),
  owner: z.string(),
  name: z.string(),
  installation_id: z.number(),
  settings_review: settingsReview.nullable().catch(null),
  statuses: z.enum(['summary', 'per-attribute']).nullable().catch(null),
});

const sourceRow = z.object({
  kind: z.enum(['branch', 'pull-request', 'tag']),
  name: z.string(),
  passed_over: z.object({ kind: z.enum(['irrelevant', 'held']), reason: z.string() }).nullable(),
  seen_at: z.date(),
});

const evaluationRow = z.object({
  id: z.number(),
  state: z.enum(['queued', 'evaluating', 'building', 'succeeded', 'failed', 'cancelled']),
  waiting_for: z.string().nullable(),
  cancel_reason: z.string().nullable(),
  file: z.string().nullable(),
  evaluator: z.string().nullable(),
  known_from: z.string().nullable(),
  notices: z.array(z.unknown()),
  queued_at: z.date(),
  started_at: z.date().nullable(),
  evaluated_at: z.date().nullable(),
  finished_at: z.date().nullable(),
});

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

/** Undefined when there is no such revision. Call it in a transaction that holds the revision. */
export async function readReportFacts(db: Knex, revisionId: number): Promise<ReportFacts | undefined> {
  const found: unknown = await db('revisions')
    .join('projects', 'projects.id', 'revisions.project_id')
    .leftJoin('project_settings', 'project_settings.project_id', 'projects.id')
    .select('revisions.sha', 'trust', 'trust_reason', 'owner', 'projects.name', 'installation_id')
    .select('settings_review', db.raw(`project_settings.settings->>'statuses' AS statuses`))
    .where('revisions.id', revisionId)
    .first();
  if (found === undefined) return undefined;
  const revision = revisionRow.parse(found);
  const evaluation = await readEvaluation(db, revisionId);
  const sources = await readSources(db, revisionId);
  const jobs = evaluation ? await readJobs(db, evaluation.id) : [];
  const facts: ReportFacts = {
    revisionId,
    installationId: revision.installation_id,
    owner: revision.owner,
    repository: revision.name,
    sha: revision.sha,
    trust: revision.trust,
    trustReason: revision.trust_reason ?? undefined,
    sources: sources.map(({ kind, name }) =>
      kind === 'pull-request' ? `pull request #${name}` : `${kind} ${name}`,
    ),
    passedOver: passedOver(sources),
    settingsReview: revision.settings_review ?? undefined,
    statuses: revision.statuses ?? undefined,
    evaluation,
    jobs,
    ...(jobs.some(({ build }) => build?.hashes)
      ? await readApplying(db, {
          revisionId,
          installationId: revision.installation_id,
          onlyProposed: sources.length > 0 && sources.every(({ kind }) => kind === 'pull-request'),
        })
      : {}),
    changes: evaluation && (await readChanges(db, evaluation.id)),
    reportedChecks: await readReportedChecks(db, revisionId),
  };
  return withLogs(db, facts);
}

async function readEvaluation(db: Knex, revisionId: number): Promise<EvaluationFacts | undefined> {
  const found: unknown = await db('evaluations')
    .select('evaluations.*')
    .select(
      db.raw(`(SELECT r.sha FROM evaluations o JOIN revisions r ON r.id = o.revision_id
               WHERE o.id = evaluations.reused_from) AS known_from`),
    )
    .where('revision_id', revisionId)
    .orderBy('id', 'desc')
    .first();
  if (found === undefined) return undefined;
  const row = evaluationRow.parse(found);
  return {
    id: row.id,
    state: row.state,
    waitingFor: row.waiting_for ?? undefined,
    cancelReason: row.cancel_reason ?? undefined,
    file: row.file ?? undefined,
    evaluator: row.evaluator ?? undefined,
    knownFrom: row.known_from ?? undefined,
    // A notice of a form this version does not know is no reason to report nothing.
    notices: row.notices.flatMap((value) => notice.safeParse(value).data ?? []),
    queuedAt: row.queued_at,
    startedAt: row.started_at ?? undefined,
    evaluatedAt: row.evaluated_at ?? undefined,
    finishedAt: row.finished_at ?? undefined,
  };
}

type SourceRow = z.infer<typeof sourceRow>;

async function readSources(db: Knex, revisionId: number): Promise<readonly SourceRow[]> {
  const rows: unknown = await db('revision_sources')
    .select('kind', 'name', 'passed_over', 'seen_at')
    .where('revision_id', revisionId)
    .orderBy(['kind', 'name']);
  return z.array(sourceRow).parse(rows);
}

/** One place that wants the commit is enough; else what the last one says of it. */
function passedOver(sources: readonly SourceRow[]): PassedOver | undefined {
  if (sources.some((source) => source.passed_over === null)) return undefined;
  const [last] = sources.toSorted((a, b) => b.seen_at.getTime() - a.seen_at.getTime());
  return last?.passed_over ?? undefined;
}

async function readReportedChecks(db: Knex, revisionId: number): Promise<readonly string[]> {
  const rows: unknown = await db('reports')
    .select('name')
    .where({ revision_id: revisionId, kind: 'check' })
    .orderBy('id');
  return z
    .array(z.object({ name: z.string() }))
    .parse(rows)
    .map((row) => row.name);
}

async function readJobs(db: Knex, evaluationId: number): Promise<readonly JobFacts[]> {
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
     WHERE j.evaluation_id = ?
     ORDER BY j.id`,
    [evaluationId],
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

function locationOf(row: z.infer<typeof jobRow>) {
  if (row.error_file === null || row.error_line === null) return undefined;
  const column = row.error_column === null ? {} : { column: row.error_column };
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

const failed: ReadonlySet<string> = new Set(failureStates);

/**
 * What a check of its own shows of its build's log. With more attributes than checks, those that are
 * good have one only because they began with it: their logs are on the pages.
 */
function tailOf(job: JobFacts, jobs: number): (typeof tails)[keyof typeof tails] | undefined {
  if (!job.build) return undefined;
  if (failed.has(job.build.state)) return tails.failed;
  const built = job.build.state === 'succeeded' && !job.cached;
  return built && jobs <= limits.ownChecks ? tails.good : undefined;
}

/** Adds the ends of the logs that a check of its own will show. */
async function withLogs(db: Knex, facts: ReportFacts): Promise<ReportFacts> {
  if (!facts.evaluation) return facts;
  const shown = chooseOwnChecks(facts, judgeJobs(facts.jobs, facts.evaluation));
  const logs = new Map<number, LogTail>();
  for (const { judged } of shown) {
    const tail = tailOf(judged.job, facts.jobs.length);
    const attemptId = judged.job.build?.logAttemptId;
    if (!tail || attemptId === undefined || logs.has(attemptId)) continue;
    logs.set(attemptId, { attemptId, ...(await tailLog(db, attemptId, tail)) });
  }
  if (logs.size === 0) return facts;
  const places = await placesByAttempt(db, facts.revisionId);
  const jobs = facts.jobs.map((job) => {
    const attemptId = job.build?.logAttemptId;
    const log = attemptId === undefined ? undefined : logs.get(attemptId);
    if (!job.build || attemptId === undefined || !log || !tailOf(job, facts.jobs.length)) return job;
    return { ...job, build: { ...job.build, log, places: places.get(attemptId) } };
  });
  return { ...facts, jobs };
}
