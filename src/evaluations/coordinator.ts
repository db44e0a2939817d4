/**
 * The evaluator role of a server: claims queued evaluations, checks the commit out, evaluates it,
 * stores its jobs and queues what has to be built. Every way through `run` ends or re-queues the
 * evaluation, so nothing stays pending.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type Logger, messageOf, OperatorError } from '../basics/index.ts';
import { type BuildPlan, type BuildWish, enqueueBuilds } from '../builds/index.ts';
import { isPassingError, untilDatabaseAnswers } from '../postgres/index.ts';
import type { CheckoutResult } from '../projects/index.ts';
import type { Evaluate, EvaluationError, EvaluationEvent, EvaluationLimits, JobFound } from './events.ts';
import {
  type ClaimedEvaluation,
  claimEvaluation,
  clearJobs,
  insertJobs,
  postponeEvaluation,
  putBackEvaluations,
  releaseEvaluations,
  stillOurs,
  takenAway,
} from './queue.ts';
import { settle } from './settle.ts';
import type { OnRevisionChanged } from './submit.ts';

const lookAgainMs = 5_000;
const jobsPerStatement = 500;

export interface CoordinatorOptions {
  readonly db: Knex;
  readonly processId: number;
  /** Evaluations at the same time. */
  readonly concurrency: number;
  readonly limits: EvaluationLimits;
  /** Rejects with an OperatorError when this server cannot evaluate at all (Nix is missing). */
  readonly evaluator: () => Promise<Evaluate>;
  readonly checkOut: (evaluation: ClaimedEvaluation, signal: AbortSignal) => Promise<CheckoutResult>;
  readonly plan: (wishes: readonly BuildWish[]) => Promise<BuildPlan>;
  readonly onRevisionChanged: OnRevisionChanged;
  readonly log: Logger;
}

export interface Coordinator {
  wake(): void;
  readonly running: number;
  /** Claims no more, gives up what runs after `graceMs` and puts it back into the queue. */
  stop(graceMs: number): Promise<void>;
}

export function startCoordinator(options: CoordinatorOptions): Coordinator {
  const { db, log } = options;
  const running = new Map<number, Run>();
  let stopping = false;
  let filling: Promise<void> | undefined;
  let again = false;
  /** When this process and the database last agreed on what runs here; milliseconds. */
  let agreedAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;

  function wake(): void {
    again = true;
    filling ??= fill();
  }

  async function fill(): Promise<void> {
    clearTimeout(timer);
    try {
      while (again && !stopping) {
        again = false;
        if (performance.now() - agreedAt >= lookAgainMs) await compareWithDatabase();
        await claimWhileFree();
      }
    } catch (error) {
      log.warn({ err: error }, 'the evaluation queue does not answer, trying again');
    } finally {
      filling = undefined;
      if (!stopping) timer = setTimeout(wake, lookAgainMs);
    }
  }

  /** The answer to a claim may have been lost, or this process may have been taken for dead. */
  async function compareWithDatabase(): Promise<void> {
    const { processId, onRevisionChanged } = options;
    const ids = [...running.keys()];
    for (const id of await takenAway(db, processId, ids)) running.get(id)?.cancel.abort();
    await db.transaction((trx) => releaseEvaluations(trx, [processId], onRevisionChanged, ids));
    agreedAt = performance.now();
  }

  async function claimWhileFree(): Promise<void> {
    while (!stopping && running.size < options.concurrency) {
      const evaluation = await db.transaction(async (trx) => {
        const claimed = await claimEvaluation(trx, options.processId);
        if (claimed) await options.onRevisionChanged(trx, claimed.revisionId, 'now');
        return claimed;
      });
      // What was claimed while the end began is given back by `stop`.
      if (!evaluation || stopping) return;
      start(evaluation);
    }
  }

  function start(evaluation: ClaimedEvaluation): void {
    const earlier = running.get(evaluation.id);
    const run: Run = { cancel: new AbortController(), done: Promise.resolve() };
    run.done = follow(earlier, evaluation, run.cancel.signal)
      .catch((error: unknown) => log.error({ err: error, evaluation: evaluation.id }, 'evaluation broke off'))
      .finally(() => {
        if (running.get(evaluation.id) === run) running.delete(evaluation.id);
        wake();
      });
    running.set(evaluation.id, run);
  }

  /** An evaluation that was taken away from this process may come back to it: never two at once. */
  async function follow(earlier: Run | undefined, evaluation: ClaimedEvaluation, signal: AbortSignal) {
    if (earlier) {
      earlier.cancel.abort();
      await earlier.done;
      if (!(await db.transaction((trx) => stillOurs(trx, evaluation.id, options.processId)))) return;
    }
    await runEvaluation(options, evaluation, signal);
  }

  wake();
  return {
    wake,
    get running() {
      return running.size;
    },
    async stop(graceMs) {
      stopping = true;
      clearTimeout(timer);
      const grace = setTimeout(() => {
        for (const run of running.values()) run.cancel.abort();
      }, graceMs);
      await filling;
      await Promise.all([...running.values()].map((run) => run.done));
      clearTimeout(grace);
      await db.transaction((trx) => putBackEvaluations(trx, options.processId, options.onRevisionChanged));
    },
  };
}

/** One evaluation under way in this process. */
interface Run {
  readonly cancel: AbortController;
  done: Promise<void>;
}

async function runEvaluation(
  options: CoordinatorOptions,
  evaluation: ClaimedEvaluation,
  signal: AbortSignal,
): Promise<void> {
  const log = options.log.child({ evaluation: evaluation.id });
  const outcome = await evaluateCommit(options, evaluation, signal).catch(
    (error: unknown): Outcome => outcomeOfError(error, log),
  );
  // Stopped by the server, not by the evaluation: the server gives it back when it stops.
  if (signal.aborted && outcome.kind !== 'stored') return;
  await untilDatabaseAnswers(log, signal, () =>
    options.db.transaction((trx) => finish(trx, options, evaluation, outcome)),
  );
  log.info({ sha: evaluation.sha, outcome: outcome.kind }, 'evaluation ended');
}

type Outcome =
  | { readonly kind: 'stored'; readonly plan: BuildPlan }
  | { readonly kind: 'failed'; readonly error: EvaluationError }
  | { readonly kind: 'later'; readonly reason: string };

function outcomeOfError(error: unknown, log: Logger): Outcome {
  if (isPassingError(error)) return { kind: 'later', reason: 'the database did not take its results' };
  if (error instanceof OperatorError) {
    const message = error.hint ? `${error.message}\n${error.hint}` : error.message;
    return { kind: 'failed', error: { type: 'error', path: [], message } };
  }
  log.error({ err: error }, 'a bug ended an evaluation');
  return {
    kind: 'failed',
    error: { type: 'error', path: [], message: `Internal error of the server: ${messageOf(error)}` },
  };
}

async function evaluateCommit(
  options: CoordinatorOptions,
  evaluation: ClaimedEvaluation,
  signal: AbortSignal,
): Promise<Outcome> {
  const evaluate = await options.evaluator();
  const checkedOut = await options.checkOut(evaluation, signal);
  if (checkedOut.kind === 'later' && !evaluation.waitedTooLong) return checkedOut;
  if (checkedOut.kind !== 'ready') {
    return { kind: 'failed', error: { type: 'error', path: [], message: checkedOut.reason } };
  }
  const { checkout } = checkedOut;
  try {
    await options
      .db('revisions')
      .where({ id: evaluation.revisionId })
      .update({
        title: options.db.raw(`CASE WHEN title = '' THEN ? ELSE title END`, [checkout.title]),
        author: options.db.raw(`CASE WHEN author = '' THEN ? ELSE author END`, [checkout.author]),
      });
    const events = evaluate({
      checkout: checkout.path,
      source: sourceArgument(evaluation),
      trusted: true,
      limits: options.limits,
      signal,
    });
    const wishes = await store(options.db, evaluation.id, events);
    return { kind: 'stored', plan: await options.plan(wishes) };
  } finally {
    await checkout.release();
  }
}

function sourceArgument(evaluation: ClaimedEvaluation) {
  const source = evaluation.sources[0];
  const branch = source?.kind === 'branch' ? { branch: source.name } : {};
  return { rev: evaluation.sha, ref: source?.gitRef ?? evaluation.sha, ...branch };
}

/** Stores the stream in batches as it arrives; returns what its jobs wish to be built. */
async function store(
  db: Knex,
  evaluationId: number,
  events: AsyncIterable<EvaluationEvent>,
): Promise<readonly BuildWish[]> {
  await db.transaction((trx) => clearJobs(trx, evaluationId));
  const wishes: BuildWish[] = [];
  const notices: { message: string }[] = [];
  let batch: (JobFound | EvaluationError)[] = [];
  let jobs = 0;
  let errors = 0;
  const flush = async () => {
    const rows = batch;
    batch = [];
    await db.transaction(async (trx) => {
      await insertJobs(trx, evaluationId, rows);
      await trx('evaluations').where({ id: evaluationId }).update({ job_count: jobs, error_count: errors });
    });
  };
  for await (const event of events) {
    if (event.type === 'started') {
      const { file, evaluator } = event;
      await db('evaluations').where({ id: evaluationId }).update({ file, evaluator });
    } else if (event.type === 'notice') {
      notices.push({ message: event.message, ...event.location });
    } else {
      if (event.type === 'job') {
        wishes.push({ drvPath: event.drvPath, itself: event.mark !== 'dependencies-only' });
        jobs += 1;
      } else errors += 1;
      batch.push(event);
      if (batch.length >= jobsPerStatement) await flush();
    }
  }
  await flush();
  await db('evaluations')
    .where({ id: evaluationId })
    .update({ notices: JSON.stringify(notices) });
  return wishes;
}

async function finish(
  trx: Knex.Transaction,
  options: CoordinatorOptions,
  evaluation: ClaimedEvaluation,
  outcome: Outcome,
): Promise<void> {
  // Given to another process meanwhile, because this one was taken for dead: then that one decides.
  if (!(await stillOurs(trx, evaluation.id, options.processId))) return;
  if (outcome.kind === 'later') {
    await postponeEvaluation(trx, evaluation, outcome.reason);
  } else {
    if (outcome.kind === 'failed') {
      await clearJobs(trx, evaluation.id);
      await insertJobs(trx, evaluation.id, [outcome.error]);
      await trx('evaluations').where({ id: evaluation.id }).update({ error_count: 1 });
    } else {
      await hangJobsOnBuilds(trx, evaluation.id, outcome.plan);
    }
    await trx('evaluations')
      .where({ id: evaluation.id, state: 'evaluating' })
      .update({ state: 'building', evaluated_at: trx.fn.now(), process_id: null });
    await settle(trx, [evaluation.id]);
  }
  await options.onRevisionChanged(trx, evaluation.revisionId, 'now');
}

/** Gives every job of the evaluation its build; a job that needs none is `cached`. */
async function hangJobsOnBuilds(trx: Knex.Transaction, evaluationId: number, plan: BuildPlan): Promise<void> {
  const builds = await enqueueBuilds(trx, plan.wanted);
  await trx.raw(
    `UPDATE jobs j SET build_id = b.id, cached = false
     FROM unnest(?::bigint[]) AS ids (id) JOIN builds b ON b.id = ids.id
     WHERE j.evaluation_id = ? AND j.drv_path = b.drv_path
       AND b.inputs_only = (j.mark = 'dependencies-only')`,
    [[...builds.whole.values(), ...builds.inputsOnly.values()], evaluationId],
  );
  if (plan.impossible.size > 0) {
    const result: unknown = await trx.raw(
      `UPDATE jobs j SET error = p.reason
       FROM unnest(?::text[], ?::text[]) AS p (drv_path, reason)
       WHERE j.evaluation_id = ? AND j.drv_path = p.drv_path RETURNING j.id`,
      [[...plan.impossible.keys()], [...plan.impossible.values()], evaluationId],
    );
    const { rows } = z.object({ rows: z.array(z.unknown()) }).parse(result);
    await trx('evaluations').where({ id: evaluationId }).increment('error_count', rows.length);
  }
  // All outputs are there or can be fetched; point at the build that made them, if it was ours.
  await trx.raw(
    `UPDATE jobs j SET cached = true,
            build_id = (SELECT b.id FROM builds b WHERE b.drv_path = j.drv_path AND b.state = 'succeeded'
                        ORDER BY b.id DESC LIMIT 1)
     WHERE j.evaluation_id = ? AND j.build_id IS NULL AND j.error IS NULL`,
    [evaluationId],
  );
}
