import { z } from 'zod';
import { buildStateShape } from './jobs.ts';
import { type Reader, readRow, readRows } from './reader.ts';

const buildShape = z.object({
  id: z.number(),
  drv_path: z.string(),
  name: z.string(),
  system: z.string(),
  required_features: z.array(z.string()),
  trust_domain: z.string(),
  outputs: z.record(z.string(), z.unknown()),
  state: buildStateShape,
  message: z.string(),
  culprit_build_id: z.number().nullable(),
  culprit_name: z.string().nullable(),
  culprit_drv: z.string().nullable(),
  cached_failure_of: z.number().nullable(),
  specified_hash: z.string().nullable(),
  got_hash: z.string().nullable(),
  cancel_requested_at: z.date().nullable(),
  priority: z.number(),
  pending_inputs: z.number(),
  not_before: z.date().nullable(),
  created_at: z.date(),
  started_at: z.date().nullable(),
  finished_at: z.date().nullable(),
});
export type BuildRow = z.infer<typeof buildShape>;

const columns = `b.id, b.drv_path, b.name, b.system, b.required_features, b.trust_domain, b.outputs, b.state, b.message,
  b.culprit_build_id, culprit.name AS culprit_name, culprit.drv_path AS culprit_drv, b.pending_inputs,
  b.cached_failure_of, b.specified_hash, b.got_hash, b.cancel_requested_at, b.priority,
  b.not_before, b.created_at, b.started_at, b.finished_at`;

/**
 * A build may be seen when some visible project has it, or something that needs it, as a job, or had it
 * built while it was evaluated:
 * builds belong to derivations, and one derivation serves any number of projects.
 */
const seenByVisitors = `(:showPrivate OR EXISTS (
  WITH RECURSIVE needing (id) AS (
    SELECT b.id UNION SELECT i.build_id FROM build_inputs i JOIN needing ON i.input_build_id = needing.id)
  SELECT 1 FROM needing JOIN (SELECT build_id, evaluation_id FROM jobs
                              UNION ALL SELECT build_id, evaluation_id FROM evaluation_imports) j
    ON j.build_id = needing.id JOIN evaluations e ON e.id = j.evaluation_id
  JOIN revisions r ON r.id = e.revision_id JOIN projects p ON p.id = r.project_id WHERE NOT p.private))`;

/** One build, if visitors may see it. */
export async function readBuild(reader: Reader, id: number): Promise<BuildRow | undefined> {
  return readRow(
    reader,
    buildShape,
    `SELECT ${columns} FROM builds b LEFT JOIN builds culprit ON culprit.id = b.culprit_build_id
     WHERE b.id = :id AND ${seenByVisitors}`,
    { id },
  );
}

const attemptShape = z.object({
  id: z.number(),
  build_id: z.number(),
  /** It was built again only for that check of the build. */
  check_id: z.number().nullable(),
  builder: z.string(),
  state: z.enum(['running', 'ended', 'lost']),
  status: z.string().nullable(),
  message: z.string(),
  started_at: z.date(),
  finished_at: z.date().nullable(),
  log_bytes: z.number(),
  log_lines: z.number(),
  log_complete: z.boolean(),
});
export type AttemptRow = z.infer<typeof attemptShape>;

/** Attempts of a build, newest first, those of its checks behind them. Ask only for builds that were read through `readBuild`. */
export async function listAttempts(reader: Reader, buildId: number): Promise<AttemptRow[]> {
  return readRows(
    reader,
    attemptShape,
    `SELECT id, build_id, check_id, builder, state, status, message, started_at, finished_at, log_bytes,
       log_lines, log_complete FROM attempts WHERE build_id = :buildId
     ORDER BY check_id IS NOT NULL, id DESC LIMIT 50`,
    { buildId },
  );
}

/** Whether the attempt still runs, and how much of its log there is. */
export async function readAttempt(reader: Reader, attemptId: number): Promise<AttemptRow | undefined> {
  return readRow(
    reader,
    attemptShape,
    `SELECT id, build_id, check_id, builder, state, status, message, started_at, finished_at, log_bytes,
       log_lines, log_complete FROM attempts WHERE id = :attemptId`,
    { attemptId },
  );
}

const inputShape = z.object({ id: z.number(), name: z.string(), state: buildStateShape });
export type InputRow = z.infer<typeof inputShape>;

/** Inputs of a build that are not there yet: what it waits for. */
export async function listUnfinishedInputs(reader: Reader, buildId: number): Promise<InputRow[]> {
  return readRows(
    reader,
    inputShape,
    `SELECT b.id, b.name, b.state FROM build_inputs i JOIN builds b ON b.id = i.input_build_id
     WHERE i.build_id = :buildId AND b.finished_at IS NULL ORDER BY b.state = 'building' DESC, b.id LIMIT 5`,
    { buildId },
  );
}
