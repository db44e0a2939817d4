/**
 * Builds that an evaluation has by itself, because it reads what they make. They are never queued:
 *
 *     building, with an attempt of the evaluation ──> an end of the build
 *        │  the evaluation, or its process, ended before
 *        ├──nobody else wants it──> cancelled: an evaluation that starts over begins a new one
 *        └──somebody does──> queued, as any other build
 *
 * One that somebody waits for already is that build: taken out of the queue, or, where a builder has
 * it, only named as one that the evaluation needed too.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { AttemptResult } from '../builders/index.ts';
import { buildsChannel } from './channels.ts';
import { completeAttempt, type OnBuildsChanged } from './complete.ts';
import { lockGraphForPlanning } from './graph-lock.ts';
import { isMachineFailure } from './states.ts';
import type { WantedBuild } from './wanted.ts';

export interface ImportWish extends Omit<WantedBuild, 'inputs' | 'inputsOnly'> {
  readonly evaluationId: number;
  readonly projectId: number;
  readonly processId: number;
}

export interface BegunImport {
  readonly buildId: number;
  /** Undefined where a builder has the build: then its log and its end are the builder's. */
  readonly attemptId: number | undefined;
}

/** The name under which people see who built it. */
const builderName = 'evaluation';

const idRow = z.object({ id: z.number() });

/** Writes down that a build has begun. */
export async function beginImport(trx: Knex.Transaction, wish: ImportWish): Promise<BegunImport> {
  // Whoever plans looks for unfinished builds and inserts the others.
  await lockGraphForPlanning(trx);
  const { buildId, taken } = await takeBuild(trx, wish);
  const { evaluationId, processId } = wish;
  await trx('evaluation_imports')
    .insert({ evaluation_id: evaluationId, build_id: buildId })
    .onConflict(['evaluation_id', 'build_id'])
    .ignore();
  if (!taken) return { buildId, attemptId: undefined };
  const [attempt]: unknown[] = await trx('attempts')
    .insert({ build_id: buildId, builder: builderName, process_id: processId, evaluation_id: evaluationId })
    .returning('id');
  return { buildId, attemptId: idRow.parse(attempt).id };
}

async function takeBuild(trx: Knex.Transaction, wish: ImportWish) {
  const inserted: unknown = await trx.raw(
    `INSERT INTO builds (drv_path, name, system, required_features, outputs, fixed_output, state, project_id, started_at)
     VALUES (:drvPath, :name, :system, :features, :outputs, :fixedOutput, 'building', :projectId, now())
     ON CONFLICT (trust_domain, drv_path, inputs_only) WHERE finished_at IS NULL DO NOTHING RETURNING id`,
    {
      drvPath: wish.drvPath,
      name: wish.name,
      system: wish.system,
      features: [...wish.requiredFeatures],
      outputs: JSON.stringify(wish.outputs),
      fixedOutput: wish.fixedOutput ?? false,
      projectId: wish.projectId,
    },
  );
  const [fresh] = z.object({ rows: z.array(idRow) }).parse(inserted).rows;
  if (fresh) return { buildId: fresh.id, taken: true };
  const found: unknown = await trx('builds')
    .select('id', 'state')
    .where({ trust_domain: 'trusted', drv_path: wish.drvPath, inputs_only: false })
    .whereNull('finished_at')
    .forNoKeyUpdate()
    .first();
  const { id, state } = idRow.extend({ state: z.string() }).parse(found);
  const taken = state === 'queued' || (state === 'building' && (await takeOver(trx, id)));
  if (taken) {
    await trx('builds')
      .where({ id })
      .update({ state: 'building', started_at: trx.raw('coalesce(started_at, now())'), not_before: null });
  }
  return { buildId: id, taken };
}

/** Whether the build was left by an evaluation that does not go on. */
async function takeOver(trx: Knex.Transaction, buildId: number): Promise<boolean> {
  const lost: unknown = await trx.raw(
    `UPDATE attempts a SET ${lostNow} WHERE a.build_id = :buildId AND ${left} RETURNING a.id`,
    { buildId, message: abandoned },
  );
  return z.object({ rows: z.array(idRow) }).parse(lost).rows.length > 0;
}

/** Writes down how it ended. Safe to repeat, and to do late. */
export async function endImport(
  trx: Knex.Transaction,
  attempt: { readonly buildId: number; readonly attemptId: number },
  result: AttemptResult,
  onBuildsChanged: OnBuildsChanged,
): Promise<void> {
  // Nobody begins to want it while it is decided whether somebody does.
  await lockGraphForPlanning(trx);
  const saysNothing = result.status === 'cancelled' || isMachineFailure(result.status);
  if (!saysNothing || (await isWanted(trx, attempt.buildId))) {
    await completeAttempt(trx, attempt, result, onBuildsChanged);
    return;
  }
  await trx('builds')
    .where({ id: attempt.buildId })
    .whereNull('finished_at')
    .whereExists(trx('attempts').where({ id: attempt.attemptId, state: 'running' }))
    .update({
      cancel_requested_at: trx.raw('coalesce(cancel_requested_at, now())'),
      cancel_reason: trx.raw('coalesce(cancel_reason, ?)', [result.message || abandoned]),
    });
  await completeAttempt(trx, attempt, { ...result, status: 'cancelled' }, onBuildsChanged);
}

const abandoned = 'The evaluation that waited for it ended.';

async function isWanted(trx: Knex.Transaction, buildId: number): Promise<boolean> {
  const result: unknown = await trx.raw(`SELECT 1 FROM builds b WHERE b.id = ? AND ${wanted}`, [buildId]);
  return z.object({ rows: z.array(z.unknown()) }).parse(result).rows.length > 0;
}

/** SQL: an unfinished evaluation has the build `b` as a job, or an unfinished build needs it. */
const wanted = `(
  EXISTS (SELECT 1 FROM jobs j JOIN evaluations v ON v.id = j.evaluation_id
          WHERE j.build_id = b.id AND v.finished_at IS NULL)
  OR EXISTS (SELECT 1 FROM build_inputs i JOIN builds d ON d.id = i.build_id
             WHERE i.input_build_id = b.id AND d.finished_at IS NULL))`;

/** SQL: the process of the attempt `a` does not evaluate any more what it was for. */
const left = `a.state = 'running' AND a.evaluation_id IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM evaluations v
  WHERE v.id = a.evaluation_id AND v.state = 'evaluating' AND v.process_id = a.process_id)`;

/** SQL: what is set in an attempt that ends without a word on its build. */
const lostNow = `state = 'lost', process_id = NULL, phase = NULL, finished_at = now(), log_complete = true,
  message = :message`;

/** Ends what evaluations left behind whose processes died. To be called now and then; returns the builds. */
export async function releaseImports(trx: Knex.Transaction): Promise<readonly number[]> {
  // Nearly always there is none, and then nobody is kept waiting.
  const some: unknown = await trx.raw(`SELECT 1 FROM attempts a WHERE ${left} LIMIT 1`);
  if (z.object({ rows: z.array(z.unknown()) }).parse(some).rows.length === 0) return [];
  await lockGraphForPlanning(trx);
  const lost: unknown = await trx.raw(
    `UPDATE attempts SET ${lostNow}
     WHERE id IN (SELECT a.id FROM attempts a WHERE ${left} ORDER BY a.id FOR NO KEY UPDATE)
     RETURNING build_id AS id`,
    { message: abandoned },
  );
  const ids = z
    .object({ rows: z.array(idRow) })
    .parse(lost)
    .rows.map((row) => row.id);
  await trx.raw('SELECT id FROM builds WHERE id = ANY (?) ORDER BY id FOR NO KEY UPDATE', [ids]);
  await trx.raw(
    `UPDATE builds b SET
       state = CASE WHEN ${wanted} THEN 'queued' ELSE 'cancelled' END,
       finished_at = CASE WHEN NOT ${wanted} THEN now() END,
       message = CASE WHEN ${wanted} THEN b.message ELSE ? END
     WHERE b.id = ANY (?) AND b.state = 'building'`,
    [abandoned, ids],
  );
  await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
  return ids;
}
