/** Loads what a report says from the database: some ten queries, and one more for each log's end. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { failureStates } from '../builds/index.ts';
import { type EvaluationNotice, type PassedOver, readChanges } from '../evaluations/index.ts';
import { tailLog } from '../logs/index.ts';
import { settingsReview } from '../projects/index.ts';
import type { EvaluationFacts, JobFacts, LogTail, ReportFacts } from './facts.ts';
import { limits } from './limits.ts';
import { placesByAttempt } from './places/read.ts';
import { countJobs } from './plan/counts.ts';
import { chooseOwnChecks } from './plan/selection.ts';
import { judgeJobs } from './plan/verdict.ts';
import { readApplying } from './read-applying.ts';
import { readJobs } from './read-jobs.ts';

/** What is read of a log, the most that is shown: of failures, and of what was built well. */
const tails = {
  failed: { lines: 60, maxBytes: 16 * 1024 },
  good: { lines: 20, maxBytes: 8 * 1024 },
} as const;

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
  job_count: z.number(),
  error_count: z.number(),
  notices: z.array(z.unknown()),
  queued_at: z.date(),
  started_at: z.date().nullable(),
  evaluated_at: z.date().nullable(),
  finished_at: z.date().nullable(),
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
  const { evaluation, jobsAtMost } = await readEvaluation(db, revisionId);
  const sources = await readSources(db, revisionId);
  const reportedChecks = await readReportedChecks(db, revisionId);
  const { jobs, ...known } = evaluation
    ? await readJobs(db, { ...evaluation, jobsAtMost }, reportedChecks)
    : { jobs: [] };
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
    ...known,
    ...(jobs.some(({ build }) => build?.hashes)
      ? await readApplying(db, {
          revisionId,
          installationId: revision.installation_id,
          onlyProposed: sources.length > 0 && sources.every(({ kind }) => kind === 'pull-request'),
        })
      : {}),
    changes: evaluation && (await readChanges(db, evaluation.id)),
    reportedChecks,
  };
  return withLogs(db, facts);
}

interface FoundEvaluation {
  readonly evaluation: EvaluationFacts | undefined;
  readonly jobsAtMost: number;
}

async function readEvaluation(db: Knex, revisionId: number): Promise<FoundEvaluation> {
  const found: unknown = await db('evaluations')
    .select('evaluations.*')
    .select(
      db.raw(`(SELECT r.sha FROM evaluations o JOIN revisions r ON r.id = o.revision_id
               WHERE o.id = evaluations.reused_from) AS known_from`),
    )
    .where('revision_id', revisionId)
    .orderBy('id', 'desc')
    .first();
  if (found === undefined) return { evaluation: undefined, jobsAtMost: 0 };
  const row = evaluationRow.parse(found);
  const evaluation = {
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
  return { evaluation, jobsAtMost: row.job_count + row.error_count };
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
  const all = countJobs(facts);
  for (const { judged } of shown) {
    const tail = tailOf(judged.job, all);
    const attemptId = judged.job.build?.logAttemptId;
    if (!tail || attemptId === undefined || logs.has(attemptId)) continue;
    logs.set(attemptId, { attemptId, ...(await tailLog(db, attemptId, tail)) });
  }
  if (logs.size === 0) return facts;
  const places = await placesByAttempt(db, facts.revisionId);
  const jobs = facts.jobs.map((job) => {
    const attemptId = job.build?.logAttemptId;
    const log = attemptId === undefined ? undefined : logs.get(attemptId);
    if (!job.build || attemptId === undefined || !log || !tailOf(job, all)) return job;
    return { ...job, build: { ...job.build, log, places: places.get(attemptId) } };
  });
  return { ...facts, jobs };
}
