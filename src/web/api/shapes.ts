/** Rows to the API's shapes. */
import type { z } from 'zod';
import type { CheckRecord } from '../../builds/index.ts';
import { formatAttributePath } from '../../evaluations/index.ts';
import type { LogPhase } from '../../logs/index.ts';
import { projectLink, revisionLink } from '../links.ts';
import type { AttemptRow, BuildRow } from '../read/builds.ts';
import type { EvaluationDetails } from '../read/evaluations.ts';
import type { ImportRow } from '../read/imports.ts';
import { type JobCounts, totalJobs } from '../read/job-counts.ts';
import type { JobRow } from '../read/jobs.ts';
import type { ProjectRow } from '../read/projects.ts';
import type { QueueRow } from '../read/queue.ts';
import type { EvaluationRow, RevisionLine } from '../read/revision-lines.ts';
import type {
  attemptSchema,
  buildSchema,
  evaluationDetailsSchema,
  evaluationSchema,
  importSchema,
  jobSchema,
  projectSchema,
  queuedBuildSchema,
  revisionSchema,
} from './schemas.ts';

const iso = (date: Date | null) => date?.toISOString() ?? null;

export function evaluationShape(row: EvaluationRow, counts: JobCounts): z.infer<typeof evaluationSchema> {
  return {
    id: row.id,
    state: row.state,
    waitingFor: row.waiting_for,
    file: row.file,
    evaluator: row.evaluator,
    reusedFrom:
      row.reused_from !== null && row.reused_sha !== null
        ? { evaluationId: row.reused_from, sha: row.reused_sha }
        : null,
    jobs: row.job_count,
    errors: row.error_count,
    counts: { total: totalJobs(counts), ...counts },
    notices: row.notices,
    queuedAt: row.queued_at.toISOString(),
    startedAt: iso(row.started_at),
    evaluatedAt: iso(row.evaluated_at),
    finishedAt: iso(row.finished_at),
  };
}

export function evaluationDetailsShape(
  row: EvaluationDetails,
  base: string,
): z.infer<typeof evaluationDetailsSchema> {
  return {
    ...evaluationShape(row.evaluation, row.counts),
    revisionId: row.revision_id,
    project: `${row.owner}/${row.project}`,
    sha: row.sha,
    url: base + revisionLink(row),
  };
}

export function revisionShape(row: RevisionLine, base: string): z.infer<typeof revisionSchema> {
  return {
    id: row.id,
    project: `${row.owner}/${row.project}`,
    sha: row.sha,
    title: row.title,
    author: row.author,
    trust: row.trust,
    trustReason: row.trust_reason,
    createdAt: row.created_at.toISOString(),
    sources: row.sources.map((source) => ({
      kind: source.kind,
      name: source.name,
      baseBranch: source.base_branch,
      title: source.title,
      seenAt: source.seen_at.toISOString(),
    })),
    evaluation: row.evaluation ? evaluationShape(row.evaluation, row.counts) : null,
    url: base + revisionLink(row),
  };
}

export function projectShape(
  row: ProjectRow,
  head: RevisionLine | undefined,
  base: string,
): z.infer<typeof projectSchema> {
  return {
    id: row.id,
    githubRepositoryId: row.github_repository_id,
    owner: row.owner,
    name: row.name,
    defaultBranch: row.default_branch,
    private: row.private,
    enabled: row.enabled,
    pausedAt: iso(row.paused_at),
    createdAt: row.created_at.toISOString(),
    head: head ? revisionShape(head, base) : null,
    url: base + projectLink({ owner: row.owner, project: row.name }),
  };
}

export function jobShape(row: JobRow): z.infer<typeof jobSchema> {
  return {
    id: row.id,
    evaluationId: row.evaluation_id,
    path: row.path,
    attribute: formatAttributePath(row.path),
    state: row.state,
    mark: row.mark,
    drvPath: row.drv_path,
    name: row.name,
    system: row.system,
    outputs: row.outputs,
    buildId: row.build_id,
    message: row.message || null,
    error:
      row.error === null
        ? null
        : { message: row.error, file: row.error_file, line: row.error_line, column: row.error_column },
    startedAt: iso(row.started_at),
    finishedAt: iso(row.finished_at),
  };
}

function attemptShape(row: AttemptRow, phases: readonly LogPhase[]): z.infer<typeof attemptSchema> {
  return {
    id: row.id,
    checkId: row.check_id,
    builder: row.builder,
    state: row.state,
    status: row.status,
    message: row.message,
    startedAt: row.started_at.toISOString(),
    finishedAt: iso(row.finished_at),
    logBytes: row.log_bytes,
    logLines: row.log_lines,
    logComplete: row.log_complete,
    phases: phases
      .filter((phase) => phase.attemptId === row.id)
      .map(({ name, line, position }) => ({ name, line: line + 1, byte: position })),
  };
}

export function buildShape(
  row: BuildRow,
  attempts: readonly AttemptRow[],
  phases: readonly LogPhase[],
  checks: readonly CheckRecord[],
  keptAt: Date | undefined,
): z.infer<typeof buildSchema> {
  return {
    id: row.id,
    drvPath: row.drv_path,
    name: row.name,
    system: row.system,
    requiredFeatures: row.required_features,
    outputs: row.outputs,
    state: row.state,
    message: row.message,
    culpritBuildId: row.culprit_build_id,
    cachedFailureOf: row.cached_failure_of,
    specifiedHash: row.specified_hash,
    gotHash: row.got_hash,
    cancelRequestedAt: iso(row.cancel_requested_at),
    priority: row.priority,
    createdAt: row.created_at.toISOString(),
    startedAt: iso(row.started_at),
    finishedAt: iso(row.finished_at),
    attempts: attempts.map((attempt) => attemptShape(attempt, phases)),
    checks: [...checks],
    keptAt: iso(keptAt ?? null),
  };
}

export function importShape(row: ImportRow): z.infer<typeof importSchema> {
  return {
    buildId: row.build_id,
    name: row.name,
    drvPath: row.drv_path,
    system: row.system,
    state: row.state,
    message: row.message,
    startedAt: iso(row.started_at),
    finishedAt: iso(row.finished_at),
  };
}

export function queuedBuildShape(row: QueueRow): z.infer<typeof queuedBuildSchema> {
  return {
    id: row.id,
    name: row.name,
    drvPath: row.drv_path,
    system: row.system,
    requiredFeatures: row.required_features,
    state: row.state,
    builder: row.builder,
    waitsFor: row.waits_for,
    createdAt: row.created_at.toISOString(),
    startedAt: iso(row.started_at),
  };
}
