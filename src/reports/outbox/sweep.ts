/** The safety net: finds what a lost task or a bug left behind. Cheap enough for every minute. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { requestReport, requestSending } from './tasks.ts';

/** Seconds that the ordinary way may take before it counts as lost. */
const graceSeconds = 30;
/** Days for which a revision without a gate is still looked at. */
const lookBackDays = 7;

export interface Swept {
  readonly plannedRevisions: number;
  readonly wokenInstallations: number;
}

const ids = z.object({ rows: z.array(z.object({ id: z.number() })) });

/** Asks for plans of revisions that are over but not reported as such, and for the sending of what is unsent. */
export async function sweepReports(db: Knex): Promise<Swept> {
  const revisions = new Set([...(await overButOpen(db)), ...(await withoutGate(db))]);
  for (const id of revisions) await requestReport(db, id);
  const installations = await withUnsent(db);
  for (const id of installations) await requestSending(db, id);
  return { plannedRevisions: revisions.size, wokenInstallations: installations.length };
}

/** No such task waits or runs. One that does has its own pace, which asking again would undo. */
function noTask(key: string): string {
  return `NOT EXISTS (SELECT 1 FROM graphile_worker.jobs t WHERE t.key = ${key} AND t.attempts < t.max_attempts)`;
}

/** The evaluation has ended, the gate is not meant to. */
async function overButOpen(db: Knex): Promise<readonly number[]> {
  const result: unknown = await db.raw(
    `SELECT r.revision_id AS id FROM reports r
     JOIN LATERAL (SELECT finished_at FROM evaluations WHERE revision_id = r.revision_id
                   ORDER BY id DESC LIMIT 1) e ON true
     WHERE r.kind = 'check' AND r.name = 'ringmaster' AND NOT r.terminal
       AND e.finished_at < now() - make_interval(secs => ?)
       AND ${noTask("'report:' || r.revision_id")}`,
    [graceSeconds],
  );
  return ids.parse(result).rows.map((row) => row.id);
}

async function withoutGate(db: Knex): Promise<readonly number[]> {
  const result: unknown = await db.raw(
    `SELECT v.id FROM revisions v
     WHERE v.created_at BETWEEN now() - make_interval(days => ?) AND now() - make_interval(secs => ?)
       AND NOT EXISTS (SELECT 1 FROM reports r
                       WHERE r.revision_id = v.id AND r.kind = 'check' AND r.name = 'ringmaster')
       AND ${noTask("'report:' || v.id")}`,
    [lookBackDays, graceSeconds],
  );
  return ids.parse(result).rows.map((row) => row.id);
}

async function withUnsent(db: Knex): Promise<readonly number[]> {
  const result: unknown = await db.raw(
    `SELECT DISTINCT r.installation_id AS id FROM reports r
     JOIN installations i ON i.id = r.installation_id AND NOT i.suspended AND NOT i.deleted
     WHERE r.sent_version < r.version AND NOT r.given_up
       AND (r.not_before IS NULL OR r.not_before <= now())
       AND ${noTask("'send-reports:' || r.installation_id")}
       AND ${noTask("'send-reports-later:' || r.installation_id")}`,
  );
  return ids.parse(result).rows.map((row) => row.id);
}
