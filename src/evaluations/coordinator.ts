/**
 * The evaluator role of a server: claims queued evaluations, checks the commit out, evaluates it,
 * stores its jobs and queues what has to be built. Every way through `run` ends or re-queues the
 * evaluation, so nothing stays pending.
 */
import type { Knex } from 'knex';
import { createWorkLoop, type Logger, messageOf, OperatorError } from '../basics/index.ts';
import { cancelBuildsOf, createEnqueuer, lockGraphForPlanning } from '../builds/index.ts';
import { isPassingError, untilDatabaseAnswers } from '../postgres/index.ts';
import { requestSupersede } from './cancel.ts';
import { requestComparison } from './changes/store-changes.ts';
import { type EvaluateCommitOptions, evaluateCommit, type Outcome } from './evaluate-commit.ts';
import { createRunningImports } from './import-builds.ts';
import { copyEvaluation, copyWitnessed } from './known-results.ts';
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
import { markReusable } from './reuse.ts';
import { waitForOther, wakeWaiting } from './same-files.ts';
import { settle } from './settle.ts';
import { EvaluationTakenAway } from './store-events.ts';

const lookAgainMs = 5_000;

export interface CoordinatorOptions extends EvaluateCommitOptions {
  /** Evaluations at the same time. */
  readonly concurrency: number;
  readonly log: Logger;
}

export interface Coordinator {
  wake(): void;
  /** Looks for builds of evaluations that somebody has cancelled, and ends them. */
  stopCancelled(): void;
  readonly running: number;
  /** Claims no more, gives up what runs after `graceMs` and puts it back into the queue. */
  stop(graceMs: number): Promise<void>;
}

export function startCoordinator(given: CoordinatorOptions): Coordinator {
  const imports = createRunningImports();
  const options: CoordinatorOptions = { ...given, running: imports };
  const { db, log } = options;
  const running = new Map<number, Run>();
  /** The answer to a claim may have been lost, or this process may have been taken for dead. */
  async function compareWithDatabase(): Promise<void> {
    const { processId, onRevisionChanged } = options;
    const ids = [...running.keys()];
    for (const id of await takenAway(db, processId, ids)) running.get(id)?.cancel.abort();
    await db.transaction((trx) => releaseEvaluations(trx, [processId], onRevisionChanged, ids));
    await imports.stopCancelled(db);
  }

  async function claimWhileFree(): Promise<void> {
    while (!loop.stopping && running.size < options.concurrency) {
      const evaluation = await db.transaction(async (trx) => {
        const claimed = await claimEvaluation(trx, options.processId);
        if (claimed) await options.onRevisionChanged(trx, claimed.revisionId, 'now');
        return claimed;
      });
      // What was claimed while the end began is given back by `stop`.
      if (!evaluation || loop.stopping) return;
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
        loop.wake();
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

  const loop = createWorkLoop({
    lookAgainMs,
    retryMs: lookAgainMs,
    compare: compareWithDatabase,
    take: claimWhileFree,
    onError: (error) => log.warn({ err: error }, 'the evaluation queue does not answer, trying again'),
  });
  return {
    wake: loop.wake,
    // What is missed now is seen with the next look.
    stopCancelled: () =>
      void imports
        .stopCancelled(db)
        .catch((error: unknown) => log.warn({ reason: messageOf(error) }, 'builds to cancel were not found')),
    get running() {
      return running.size;
    },
    async stop(graceMs) {
      const looked = loop.stop();
      const grace = setTimeout(() => {
        for (const run of running.values()) run.cancel.abort();
      }, graceMs);
      await looked;
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
  if (signal.aborted && outcome.kind !== 'stored' && outcome.kind !== 'known' && outcome.kind !== 'witnessed')
    return;
  await untilDatabaseAnswers(log, signal, () =>
    options.db.transaction((trx) => finish(trx, options, evaluation, outcome)),
  );
  log.info({ sha: evaluation.sha, outcome: outcome.kind }, 'evaluation ended');
}

function outcomeOfError(error: unknown, log: Logger): Outcome {
  if (error instanceof EvaluationTakenAway) return { kind: 'later', reason: error.message };
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

async function finish(
  trx: Knex.Transaction,
  options: CoordinatorOptions,
  evaluation: ClaimedEvaluation,
  outcome: Outcome,
): Promise<void> {
  // Before the row, as everywhere: whoever cancels holds the graph and then asks for the row.
  if (mayChangeBuilds.has(outcome.kind)) await lockGraphForPlanning(trx);
  // Given to another process meanwhile, because this one was taken for dead: then that one decides.
  if (!(await stillOurs(trx, evaluation.id, options.processId))) return;
  if (outcome.kind === 'waits') await waitForOther(trx, evaluation, outcome.other);
  else {
    const later = outcome.kind === 'later' ? outcome.reason : await end(trx, options, evaluation, outcome);
    if (later !== undefined) await postponeEvaluation(trx, evaluation, later);
    await wakeWaiting(trx, evaluation.id);
  }
  await options.onRevisionChanged(trx, evaluation.revisionId, 'now');
}

const gone = 'the result that was known is not there any more';
const mayChangeBuilds: ReadonlySet<Outcome['kind']> = new Set(['stored', 'known', 'failed']);

/** Writes down what came of the evaluation; returns why it has to be tried again, if it has to. */
async function end(
  trx: Knex.Transaction,
  options: CoordinatorOptions,
  { id, projectId }: ClaimedEvaluation,
  outcome: Exclude<Outcome, { kind: 'later' | 'waits' }>,
): Promise<string | undefined> {
  // What it has queued until it failed, and nobody else needs.
  if (outcome.kind === 'failed') await cancelBuildsOf(trx, [id], 'Its evaluation failed.');
  if (outcome.kind === 'known' || outcome.kind === 'failed') await clearJobs(trx, id);
  if (outcome.kind === 'known') {
    const enqueuer = createEnqueuer({ ...options.enqueue, projectId });
    await enqueuer.add(trx, outcome.plan);
    const copied = await copyEvaluation(trx, outcome.from, id, enqueuer.builds);
    if (!copied) return gone;
  }
  if (outcome.kind === 'witnessed' && !(await copyWitnessed(trx, id, outcome))) return gone;
  if (outcome.kind === 'failed') {
    await insertJobs(trx, id, [outcome.error]);
    await trx('evaluations').where({ id }).update({ error_count: 1 });
  }
  if (outcome.kind === 'stored') await markReusable(trx, id, outcome.reuse);
  if (outcome.kind !== 'witnessed') {
    await trx('evaluations')
      .where({ id, state: 'evaluating' })
      .update({ state: 'building', evaluated_at: trx.fn.now(), process_id: null });
    await settle(trx, [id]);
  }
  await requestSupersede(trx, id);
  await requestComparison(trx, id);
  return undefined;
}
