/**
 * Writes what an evaluation finds into the database while it is found, in batches: what is missing
 * for the jobs of a batch is planned and queued with them in one transaction, so that building
 * begins while the evaluation goes on. Builders are told what to build; see `later-writes.ts`.
 */
import type { Knex } from 'knex';
import { OperatorError } from '../basics/index.ts';
import {
  type BuildPlan,
  type BuildWish,
  createEnqueuer,
  type EnqueueOptions,
  type Enqueuer,
  lockGraphForPlanning,
} from '../builds/index.ts';
import { textsRefused } from '../nix/index.ts';
import type { readInBatches } from './batches.ts';
import type { EvaluationError, EvaluationEvent, JobFound } from './events.ts';
import { createLaterWrites, type LaterWrites } from './later-writes.ts';
import type { Planning } from './planning.ts';
import { type ClaimedEvaluation, clearJobs, insertJobs, type NewJob, stillOurs } from './queue.ts';
import { type Refusals, withoutRefused } from './refusals.ts';
import { isLastingError } from './reuse-errors.ts';
import { storableJson } from './storable-json.ts';
import type { OnRevisionChanged } from './submit.ts';

export interface StoreOptions {
  readonly db: Knex;
  readonly processId: number;
  readonly enqueue?: EnqueueOptions;
  readonly onRevisionChanged: OnRevisionChanged;
  /** Keeps derivations, which are in the store, from being collected until they have roots of their own. */
  readonly hold?: ((drvPaths: readonly string[]) => Promise<void>) | undefined;
}

export interface StoredEvents {
  /** Undefined when there was none to evaluate. */
  readonly file: string | undefined;
  /** Whether all errors would come again. */
  readonly lasting: boolean;
}

/** The evaluation belongs to somebody else, or to nobody any more. */
export class EvaluationTakenAway extends Error {
  constructor() {
    super('the evaluation was taken away');
    this.name = 'EvaluationTakenAway';
  }
}

interface Progress {
  jobs: number;
  errors: number;
  lasting: boolean;
  file: string | undefined;
  readonly notices: { message: string }[];
  readonly refusals: Refusals;
  /** Derivations to build that no other one of them refers to. */
  readonly tops: string[];
}

/**
 * Stores the stream as it arrives. `events` is read ahead; when this rejects, the caller ends it and
 * waits for `ended`.
 */
export async function storeEvents(
  options: StoreOptions,
  evaluation: ClaimedEvaluation,
  planning: Planning,
  { batches }: Pick<ReturnType<typeof readInBatches<EvaluationEvent>>, 'batches'>,
): Promise<StoredEvents> {
  const { db } = options;
  const { id } = evaluation;
  const enqueuer = createEnqueuer({ ...options.enqueue, projectId: evaluation.projectId });
  const progress: Progress = {
    jobs: 0,
    errors: 0,
    lasting: true,
    file: undefined,
    notices: [],
    refusals: new Map(),
    tops: [],
  };
  const writes = createLaterWrites(planning.derivations);
  await db.transaction((trx) => clearJobs(trx, id));
  try {
    for await (const events of batches) {
      for (const event of events) {
        if (event.type === 'notice') progress.notices.push({ message: event.message, ...event.location });
        if (event.type !== 'started') continue;
        const { file, evaluator } = event;
        progress.file = file;
        await db('evaluations').where({ id }).update({ file, evaluator });
      }
      const part: Part = { results: events.filter(isResult), enqueuer, progress, writes };
      await storeBatch(options, evaluation, planning, part);
    }
    // Only now may others stand on its result.
    await writes.untilWritten();
    // From its end on, builds must find what they need, even if this process is killed now.
    await options.hold?.(progress.tops);
  } finally {
    await writes.giveUp();
  }
  await db('evaluations')
    .where({ id })
    .update({ notices: storableJson(progress.notices) });
  return { file: progress.file, lasting: progress.lasting && progress.refusals.size === 0 };
}

type Result = JobFound | EvaluationError;

function isResult(event: EvaluationEvent): event is Result {
  return event.type === 'job' || event.type === 'error';
}

interface Part {
  readonly results: readonly Result[];
  readonly enqueuer: Enqueuer;
  readonly progress: Progress;
  readonly writes: LaterWrites;
}

async function storeBatch(
  options: StoreOptions,
  evaluation: ClaimedEvaluation,
  planning: Planning,
  { results, enqueuer, progress, writes }: Part,
): Promise<void> {
  if (results.length === 0) return;
  const full = await planning.planner.plan(
    results.flatMap((event) => (event.type === 'job' ? wishOf(event) : [])),
  );
  const { first, later } = toWrite(full, results);
  await writeEach(planning, first, progress.refusals);
  const plan = withoutRefused(full, progress.refusals);
  await options.db.transaction(async (trx) => {
    // Before the row, as everywhere: whoever cancels holds the graph and then asks for the row.
    await lockGraphForPlanning(trx);
    if (!(await stillOurs(trx, evaluation.id, options.processId))) throw new EvaluationTakenAway();
    await enqueuer.add(trx, plan);
    const jobs = results.map((event) => newJob(event, plan, enqueuer, progress.refusals));
    for (const job of jobs) {
      if (job.type === 'error' || job.error !== undefined) progress.errors += 1;
      if (job.type === 'error') progress.lasting &&= isLastingError(job.message);
      else {
        progress.jobs += 1;
        progress.lasting &&= job.error === undefined;
      }
    }
    await insertJobs(trx, evaluation.id, jobs);
    await trx('evaluations')
      .where({ id: evaluation.id })
      .update({ job_count: progress.jobs, error_count: progress.errors });
    await options.onRevisionChanged(trx, evaluation.revisionId, 'soon');
  });
  writes.add(later.filter((drvPath) => !progress.refusals.has(drvPath)));
  progress.tops.push(...topsOf(plan));
}

/** Derivations to build that no other one of them refers to. */
export function topsOf({ wanted }: BuildPlan): readonly string[] {
  const whole = wanted.filter((build) => !build.inputsOnly);
  const below = new Set(whole.flatMap((build) => build.inputs));
  return whole.flatMap(({ drvPath }) => (below.has(drvPath) ? [] : [drvPath]));
}

/** Which derivations of a plan must be in the store to be built, and which builders can do without. */
function toWrite(
  { wanted }: BuildPlan,
  results: readonly Result[],
): { readonly first: readonly string[]; readonly later: readonly string[] } {
  const whole = wanted.filter((build) => !build.inputsOnly);
  const paths = (told: boolean) =>
    whole.filter(({ derivation }) => (derivation !== undefined) === told).map(({ drvPath }) => drvPath);
  // What their dependencies are is asked again for other commits with the same files.
  const shells = results.flatMap((event) =>
    event.type === 'job' && event.mark === 'dependencies-only' ? [event.drvPath] : [],
  );
  return { first: paths(false), later: [...paths(true), ...shells] };
}

/** What a job wishes to be built. */
export function wishOf({ drvPath, mark, limits }: JobFound): BuildWish {
  return { drvPath, itself: mark !== 'dependencies-only', ...(limits && { limits }) };
}

/**
 * Writes derivations that builders must find in the store. What the store refuses, because somebody
 * wrote it by hand and wrongly, is refused alone.
 */
async function writeEach(
  planning: Pick<Planning, 'derivations'>,
  drvPaths: readonly string[],
  refusals: Refusals,
): Promise<void> {
  try {
    await planning.derivations?.write(drvPaths);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (drvPaths.length === 1) {
      for (const drvPath of drvPaths) refusals.set(drvPath, error.message);
      return;
    }
    for (const drvPath of drvPaths) await writeEach(planning, [drvPath], refusals);
  }
}

function isRefusal(error: unknown): error is OperatorError {
  return error instanceof OperatorError && error.code === textsRefused;
}

/** A result with what became of its wish. */
function newJob(event: Result, plan: BuildPlan, { builds }: Enqueuer, refusals: Refusals): NewJob {
  if (event.type === 'error') return event;
  const { drvPath } = event;
  const outputs = plan.outputs.get(drvPath) ?? event.outputs;
  const error =
    plan.impossible.get(drvPath) ?? (plan.missing.has(drvPath) ? refusals.get(drvPath) : undefined);
  if (error !== undefined) return { ...event, outputs, error };
  const among = event.mark === 'dependencies-only' ? builds.inputsOnly : builds.whole;
  const buildId = plan.missing.has(drvPath) ? among.get(drvPath) : undefined;
  return { ...event, outputs, ...(buildId === undefined ? { cached: true } : { buildId }) };
}
