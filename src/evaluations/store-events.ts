/** Writes what an evaluation finds into the database while it is found. */
import type { Knex } from 'knex';
import type { BuildWish } from '../builds/index.ts';
import type { EvaluationError, EvaluationEvent, JobFound } from './events.ts';
import { clearJobs, insertJobs } from './queue.ts';
import { isLastingError } from './reuse-errors.ts';

const jobsPerStatement = 500;

export interface StoredEvents {
  /** What the jobs wish to be built, each wish once. */
  readonly wishes: readonly BuildWish[];
  /** Undefined when there was none to evaluate. */
  readonly file: string | undefined;
  /** Whether all errors would come again. */
  readonly lasting: boolean;
}

/** Stores the stream in batches as it arrives. */
export async function storeEvents(
  db: Knex,
  evaluationId: number,
  events: AsyncIterable<EvaluationEvent>,
): Promise<StoredEvents> {
  await db.transaction((trx) => clearJobs(trx, evaluationId));
  // Paths only: an evaluation may have tens of thousands.
  const whole = new Set<string>();
  const inputsOnly = new Set<string>();
  const notices: { message: string }[] = [];
  let batch: (JobFound | EvaluationError)[] = [];
  let jobs = 0;
  let errors = 0;
  let lasting = true;
  let chosen: string | undefined;
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
      chosen = file;
      await db('evaluations').where({ id: evaluationId }).update({ file, evaluator });
    } else if (event.type === 'notice') {
      notices.push({ message: event.message, ...event.location });
    } else {
      if (event.type === 'job') {
        (event.mark === 'dependencies-only' ? inputsOnly : whole).add(event.drvPath);
        jobs += 1;
      } else {
        errors += 1;
        lasting &&= isLastingError(event.message);
      }
      batch.push(event);
      if (batch.length >= jobsPerStatement) await flush();
    }
  }
  await flush();
  await db('evaluations')
    .where({ id: evaluationId })
    .update({ notices: JSON.stringify(notices) });
  const wishes = [
    ...[...whole].map((drvPath) => ({ drvPath, itself: true })),
    ...[...inputsOnly].map((drvPath) => ({ drvPath, itself: false })),
  ];
  return { wishes, file: chosen, lasting };
}
