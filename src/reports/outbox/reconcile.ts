/**
 * Repairs drift: runs that somebody deleted, that GitHub calls stale, or whose last word got lost. The
 * outbox only knows what it has sent; this asks GitHub what stands there, for heads that people look
 * at, and has sent again what differs.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type Logger, messageOf } from '../../basics/index.ts';
import { addTask } from '../../postgres/index.ts';
import { desiredReport } from '../desired.ts';
import type { ReportAddress, ReportTransport, StandingCheck } from '../types.ts';
import { requestSending } from './tasks.ts';

export const reconcileTask = 'reconcile-reports';

/** Milliseconds between two rounds. */
const everyMs = 10 * 60_000;
/** Commits of one round: a call each, a second one beyond 100 runs. */
const atOnce = 20;
/** Minutes until a commit is looked at again, and days for which it is. */
const againMinutes = 60;
const lookBackDays = 3;
/** Seconds a report must have rested: what was sent a moment ago may not be listed yet. */
const restSeconds = 60;

export interface ReconcileOptions {
  readonly db: Knex;
  readonly transport: Pick<ReportTransport, 'listChecks'>;
  readonly log: Logger;
}

/** The task's handler; it asks for its own next round, whatever becomes of this one. */
export function createReconciler(options: ReconcileOptions): () => Promise<void> {
  return async () => {
    try {
      const repaired = await reconcileReports(options);
      if (repaired > 0) {
        options.log.info({ reports: repaired }, 'reports on GitHub differed and are sent again');
      }
    } catch (error) {
      options.log.warn({ reason: messageOf(error) }, 'reports could not be compared with GitHub');
    }
    await requestReconciling(options.db, new Date(Date.now() + everyMs));
  };
}

/** Asks for a round at that time; there is one at a time for all servers. */
export async function requestReconciling(db: Knex, runAt: Date): Promise<void> {
  await addTask(db, reconcileTask, {}, { jobKey: reconcileTask, queueName: reconcileTask, runAt });
}

const candidateRow = z.object({
  id: z.number(),
  installation_id: z.number(),
  owner: z.string(),
  name: z.string(),
  sha: z.string(),
});

/** One round. Returns how many reports are sent again. */
export async function reconcileReports(options: ReconcileOptions): Promise<number> {
  const { db, transport, log } = options;
  // Heads of branches and pull requests that are not over, those not looked at for longest first.
  const result: unknown = await db.raw(
    `SELECT v.id, p.installation_id, p.owner, p.name, v.sha
     FROM revisions v JOIN projects p ON p.id = v.project_id AND p.enabled
     JOIN installations i ON i.id = p.installation_id AND NOT i.suspended AND NOT i.deleted
       AND (i.paused_until IS NULL OR i.paused_until < now())
     WHERE v.created_at > now() - make_interval(days => :days)
       AND (v.reconciled_at IS NULL OR v.reconciled_at < now() - make_interval(mins => :minutes))
       AND EXISTS (SELECT 1 FROM reports r WHERE r.revision_id = v.id AND r.github_id IS NOT NULL)
       AND EXISTS (
         SELECT 1 FROM revision_sources s WHERE s.revision_id = v.id AND s.ended_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM revision_sources n JOIN revisions nv ON nv.id = n.revision_id
                           WHERE nv.project_id = v.project_id AND n.kind = s.kind AND n.name = s.name
                             AND n.seen_at > s.seen_at))
     ORDER BY v.reconciled_at NULLS FIRST, v.id LIMIT :limit`,
    { days: lookBackDays, minutes: againMinutes, limit: atOnce },
  );
  let repaired = 0;
  for (const row of z.object({ rows: z.array(candidateRow) }).parse(result).rows) {
    const address = { installationId: row.installation_id, owner: row.owner, name: row.name, sha: row.sha };
    const listed = await transport.listChecks(address);
    if (listed.kind === 'failed') {
      log.debug({ revision: row.id, reason: listed.reason }, 'what stands on GitHub could not be read');
      // Its turn comes again: commits that cannot be read must not keep the others from theirs.
      await noteLook(db, row.id);
      continue;
    }
    repaired += await repair(db, row.id, address, new Map(listed.checks.map((check) => [check.id, check])));
  }
  return repaired;
}

async function noteLook(db: Knex, revisionId: number): Promise<void> {
  await db('revisions').where({ id: revisionId }).update({ reconciled_at: db.fn.now() });
}

const reportRow = z.object({ id: z.number(), github_id: z.number(), desired: desiredReport });

async function repair(
  db: Knex,
  revisionId: number,
  address: ReportAddress,
  standing: ReadonlyMap<number, StandingCheck>,
): Promise<number> {
  return db.transaction(async (trx) => {
    const rows: unknown = await trx('reports')
      .select('id', 'github_id', 'desired')
      .where({ revision_id: revisionId, kind: 'check', given_up: false, uncertain: false })
      .whereNotNull('github_id')
      .whereRaw('sent_version = version')
      .andWhere('updated_at', '<', trx.raw('now() - make_interval(secs => ?)', [restSeconds]))
      .orderBy('id')
      .forUpdate();
    let repaired = 0;
    for (const { id, github_id, desired } of z.array(reportRow).parse(rows)) {
      if (desired.kind !== 'check') continue;
      const there = standing.get(github_id);
      const same =
        there && there.status === desired.status && (there.conclusion ?? undefined) === desired.conclusion;
      if (same) continue;
      repaired += 1;
      // A run that has completed otherwise is not reopened: another one follows it.
      const anew = !there || there.status === 'completed';
      await trx('reports')
        .where({ id })
        .update({
          sent_version: trx.raw('version - 1'),
          not_before: null,
          tries: 0,
          ...(anew
            ? { github_id: null, run: trx.raw('run + 1'), sent_completed: false, annotations_sent: 0 }
            : {}),
        });
    }
    await noteLook(trx, revisionId);
    if (repaired > 0) await requestSending(trx, address.installationId);
    return repaired;
  });
}
