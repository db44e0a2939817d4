/**
 * Who holds running attempts. Attempts of local and ssh builders end with the server process that
 * drives them (their pipes close, and Nix locks output paths). Agents build on without a server:
 * their attempts are held by a lease, and adopted by the server that the agent comes back to.
 *
 *     running, held by a process ──process died──> lost
 *     running, leased ──process died──> running, held by nobody ──agent came back──> running, held
 *                                              └──lease over──> lost
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { longestAgentLease } from '../basics/config/index.ts';
import { buildsChannel } from './channels.ts';
import { type ClaimedBuild, claimedBuild } from './claim.ts';

const idRows = z.object({ rows: z.array(z.object({ id: z.number() })) });
const fromNow = `now() + ${longestAgentLease} * interval '1 second'`;

/** Gives back what dead processes were building, but for what a lease still holds. Returns the builds. */
export async function releaseAttempts(
  trx: Knex.Transaction,
  processIds: readonly number[],
): Promise<readonly number[]> {
  return giveBack(
    trx,
    `(process_id IS NULL OR process_id = ANY (:processes)) AND (lease_until IS NULL OR lease_until <= now())`,
    { processes: [...processIds], message: 'The server process that ran this attempt ended.' },
  );
}

/**
 * Gives back the builds of attempts that are said to run in this process but do not; `running` are
 * the ones that do. Call it while nothing is being claimed here. Returns the builds.
 */
export async function releaseForgotten(
  trx: Knex.Transaction,
  processId: number,
  running: readonly number[],
  message = 'The server lost track of this attempt.',
): Promise<readonly number[]> {
  return giveBack(trx, 'process_id = :processId AND id <> ALL (:running::bigint[])', {
    processId,
    running: [...running],
    message,
  });
}

/** Attempts and builds are each locked in the order of their ids. */
async function giveBack(
  trx: Knex.Transaction,
  which: string,
  values: Readonly<Record<string, number | string | number[]>>,
): Promise<readonly number[]> {
  const lost: unknown = await trx.raw(
    `UPDATE attempts SET state = 'lost', process_id = NULL, lease_until = NULL, phase = NULL,
            finished_at = now(), log_complete = true, message = :message
     -- What evaluations build by themselves is theirs to give up (imports.ts).
     WHERE id IN (SELECT id FROM attempts WHERE state = 'running' AND evaluation_id IS NULL AND ${which}
                  ORDER BY id FOR NO KEY UPDATE)
       AND state = 'running' RETURNING build_id AS id`,
    values,
  );
  const buildIds = idRows.parse(lost).rows.map((row) => row.id);
  if (buildIds.length === 0) return [];
  const result: unknown = await trx.raw(
    `UPDATE builds SET state = 'queued'
     WHERE id IN (SELECT id FROM builds WHERE id = ANY (?) ORDER BY id FOR NO KEY UPDATE) AND state = 'building'
     RETURNING id`,
    [buildIds],
  );
  const ids = idRows.parse(result).rows.map((row) => row.id);
  if (ids.length > 0) await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
  return ids;
}

/** Those of the attempts that were given to somebody else: what they are doing is for nobody. */
export async function takenAway(db: Knex, attemptIds: readonly number[]): Promise<readonly number[]> {
  if (attemptIds.length === 0) return [];
  const result: unknown = await db.raw(
    `SELECT w.id FROM unnest(?::bigint[]) AS w (id)
     WHERE NOT EXISTS (SELECT 1 FROM attempts a WHERE a.id = w.id AND a.state = 'running')`,
    [[...attemptIds]],
  );
  return idRows.parse(result).rows.map((row) => row.id);
}

/**
 * Says that agents still work on these attempts: one statement for all of them. Returns those that
 * they are to go on with; the others belong to somebody else, or to nobody, by now.
 */
export async function renewLeases(db: Knex, attemptIds: readonly number[]): Promise<ReadonlySet<number>> {
  if (attemptIds.length === 0) return new Set();
  const result: unknown = await db.raw(
    `UPDATE attempts SET lease_until = ${fromNow}
     WHERE id IN (SELECT id FROM attempts WHERE id = ANY (?) AND state = 'running' ORDER BY id FOR NO KEY UPDATE)
       AND state = 'running' RETURNING id`,
    [[...attemptIds]],
  );
  return new Set(idRows.parse(result).rows.map((row) => row.id));
}

/** Leaves leased attempts to the server that their agents come to next. */
export async function letGoOfLeased(db: Knex, processId: number): Promise<void> {
  await db.raw(
    `UPDATE attempts SET process_id = NULL, adopted_from = :processId, lease_until = ${fromNow}
     WHERE id IN (SELECT id FROM attempts WHERE process_id = :processId AND state = 'running'
                  AND lease_until IS NOT NULL ORDER BY id FOR NO KEY UPDATE) AND state = 'running'`,
    { processId },
  );
}

const adoptedRow = z.object({ rows: z.array(claimedBuild) });

/**
 * Takes over an attempt that an agent says it is running; undefined when it is not its business any
 * more. Its log begins anew: the agent has all of it and sends it again.
 */
export async function adoptAttempt(
  trx: Knex.Transaction,
  attemptId: number,
  builderId: number,
  processId: number,
): Promise<ClaimedBuild | undefined> {
  const result: unknown = await trx.raw(
    `UPDATE attempts a SET process_id = :processId, lease_until = ${fromNow}, log_bytes = 0, log_lines = 0,
            adopted_from = CASE WHEN a.process_id <> :processId THEN a.process_id ELSE a.adopted_from END
     FROM builds b
     WHERE a.id = :attemptId AND a.builder_id = :builderId AND a.state = 'running' AND b.id = a.build_id
     RETURNING a.id AS attempt_id, a.build_id, a.builder_id, b.drv_path, b.name, b.outputs, b.trust_domain,
               b.timeout_seconds, b.max_silent_seconds, a.check_id,
               (SELECT d.derivation FROM build_derivations d WHERE d.build_id = b.id) AS derivation`,
    { attemptId, builderId, processId },
  );
  const [build] = adoptedRow.parse(result).rows;
  if (build) await trx('log_chunks').where({ attempt_id: attemptId }).delete();
  return build;
}
