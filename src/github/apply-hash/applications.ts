/** Wishes to have a hash applied, as the database keeps them. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { failureStates } from '../../builds/index.ts';
import type { OnRevisionChanged } from '../../evaluations/index.ts';
import { addTask } from '../../postgres/index.ts';
import { attributeCheckName } from '../../reports/index.ts';
import type { DeliveryContext } from '../deliveries/context.ts';
import { spellingsOf } from './spellings.ts';

export const applyHashTask = 'apply-hash';
/** With the queue's growing pauses some ten minutes, in which GitHub and git may come back. */
const mostTries = 8;

const wishRow = z.object({
  path: z.array(z.string()),
  name: z.string(),
  specified: z.string(),
  got: z.string(),
});

const idRow = z.object({ id: z.number() });

/** Notes that somebody wants it, whose permission was looked up; says what became of the wish. */
export async function noteApplication(
  { trx, onRevisionChanged }: DeliveryContext,
  report: { readonly revisionId: number; readonly checkName: string },
  askedBy: string,
): Promise<string> {
  const { revisionId } = report;
  const revision: unknown = await trx('revisions').select('trust').where({ id: revisionId }).first();
  if (z.object({ trust: z.literal('trusted') }).safeParse(revision).success === false) {
    return 'Ignored: the commit is not trusted.';
  }
  const wish = await mismatchOf(trx, report);
  if (!wish) return 'Ignored: there is no hash to apply.';
  const { specified, got, name } = wish;
  const applied: unknown = await trx('hash_applications')
    .select('id')
    .where({ revision_id: revisionId, specified, applied: true })
    .first();
  if (applied !== undefined) return 'Ignored: the hash has been applied.';
  const [inserted]: unknown[] = await trx('hash_applications')
    .insert({ revision_id: revisionId, specified, got, name, asked_by: askedBy })
    .onConflict(trx.raw('(revision_id, specified) WHERE ended_at IS NULL'))
    .ignore()
    .returning('id');
  if (inserted === undefined) {
    const open: unknown = await trx('hash_applications')
      .select('id')
      .where({ revision_id: revisionId, specified, ended_at: null })
      .first();
    // Its task may have been given up with the process that had it.
    if (open !== undefined) await requestApplying(trx, idRow.parse(open).id);
    return 'Ignored: the hash is being applied.';
  }
  const { id } = idRow.parse(inserted);
  await requestApplying(trx, id);
  await onRevisionChanged(trx, revisionId, 'now');
  return `${askedBy} wants the hash of ${name} applied.`;
}

export async function requestApplying(db: Knex, id: number, runAt?: Date): Promise<void> {
  await addTask(
    db,
    applyHashTask,
    { id },
    { jobKey: `${applyHashTask}:${id}`, maxAttempts: mostTries, ...(runAt ? { runAt } : {}) },
  );
}

/** Of the attribute that the check stands for, in the newest evaluation. */
async function mismatchOf(
  trx: Knex.Transaction,
  { revisionId, checkName }: { readonly revisionId: number; readonly checkName: string },
) {
  const result: unknown = await trx.raw(
    `SELECT j.path, coalesce(c.name, b.name) AS name,
            coalesce(c.specified_hash, b.specified_hash) AS specified, coalesce(c.got_hash, b.got_hash) AS got
     FROM jobs j JOIN builds b ON b.id = j.build_id LEFT JOIN builds c ON c.id = b.culprit_build_id
     WHERE j.evaluation_id = (SELECT max(id) FROM evaluations WHERE revision_id = ?)
       AND b.state = ANY(?) AND coalesce(c.specified_hash, b.specified_hash) IS NOT NULL
       AND coalesce(c.got_hash, b.got_hash) IS NOT NULL`,
    [revisionId, [...failureStates]],
  );
  const { rows } = z.object({ rows: z.array(wishRow) }).parse(result);
  const wish = rows.find(({ path }) => attributeCheckName(path) === checkName);
  return wish && spellingsOf(wish.specified, wish.got) ? wish : undefined;
}

const forsakenRows = z.object({ rows: z.array(z.object({ revision_id: z.number() })) });

/**
 * Ends those that nobody works on any more: the server ended during the last try. To be asked regularly; who
 * pressed is told, and can press again.
 */
export async function endForsakenApplications(
  trx: Knex.Transaction,
  onRevisionChanged: OnRevisionChanged,
): Promise<void> {
  const result: unknown = await trx.raw(
    `UPDATE hash_applications SET ended_at = now(), applied = false, outcome = :outcome
     WHERE id IN (SELECT id FROM hash_applications a
                  WHERE ended_at IS NULL AND asked_at < now() - interval '1 minute'
                    AND NOT EXISTS (SELECT FROM graphile_worker.jobs t WHERE t.key = :task || ':' || a.id
                                    AND (t.attempts < t.max_attempts OR t.locked_at IS NOT NULL))
                  ORDER BY id FOR UPDATE SKIP LOCKED)
     RETURNING revision_id`,
    { task: applyHashTask, outcome: 'The server ended while it was being done. Press again.' },
  );
  const revisions = new Set(forsakenRows.parse(result).rows.map(({ revision_id }) => revision_id));
  for (const id of [...revisions].sort((a, b) => a - b)) await onRevisionChanged(trx, id, 'now');
}

const applicationRow = z.object({
  id: z.number(),
  revision_id: z.number(),
  specified: z.string(),
  got: z.string(),
  name: z.string(),
  asked_by: z.string(),
  trust: z.string(),
});
export type Application = z.infer<typeof applicationRow>;

/** Undefined when it has ended. */
export async function readApplication(db: Knex, id: number): Promise<Application | undefined> {
  const found: unknown = await db('hash_applications')
    .join('revisions', 'revisions.id', 'revision_id')
    .select('hash_applications.*', 'revisions.trust')
    .where({ 'hash_applications.id': id, ended_at: null })
    .first();
  return found === undefined ? undefined : applicationRow.parse(found);
}

export interface Applied {
  readonly applied: boolean;
  /** A sentence for people. */
  readonly outcome: string;
}
