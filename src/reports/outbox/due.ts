/**
 * What may be sent now, and in which order.
 *
 * GitHub calls a suite complete when all its check runs are, and tells other apps and workflows so.
 * So the gate is created before any other check of its revision, and completed after the others have
 * been created, as long as the write budget is not short; then the gate's end comes first.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { priorities } from '../desired.ts';
import { gateName } from '../names.ts';
import type { Urgency } from './governor.ts';

const dueRow = z.object({
  id: z.number(),
  revision_id: z.number(),
  kind: z.enum(['check', 'status']),
  name: z.string(),
  priority: z.number(),
  terminal: z.boolean(),
  /** GitHub has no run to update: none was created, or it has completed and a new one begins. */
  to_create: z.boolean(),
});

export type DueReport = z.infer<typeof dueRow>;

/** Rows looked at in one go. */
const lookAhead = 200;

const toCreate = `kind = 'check' AND (github_id IS NULL OR (sent_completed AND NOT terminal))`;

/** Unsent reports that need not wait, soonest first, newest revisions first. */
export async function readDue(db: Knex, installationId: number, now: Date): Promise<readonly DueReport[]> {
  const result: unknown = await db.raw(
    `SELECT id, revision_id, kind, name, priority, terminal, (${toCreate}) AS to_create
     FROM reports r
     WHERE installation_id = :installationId AND sent_version < version AND NOT given_up
       AND (not_before IS NULL OR not_before <= :now)
       AND (terminal OR progress_after IS NULL OR progress_after <= :now)
       AND (kind = 'status' OR name = :gate OR NOT EXISTS (
         SELECT 1 FROM reports WHERE revision_id = r.revision_id AND name = :gate AND NOT given_up
            AND sent_version < version AND ${toCreate}))
     ORDER BY priority, revision_id DESC, id
     LIMIT ${lookAhead}`,
    { installationId, now, gate: gateName },
  );
  return z.object({ rows: z.array(dueRow) }).parse(result).rows;
}

/** When the next report that waits by itself becomes due; undefined when none does. */
export async function readNextDue(db: Knex, installationId: number, now: Date): Promise<Date | undefined> {
  const result: unknown = await db.raw(
    `SELECT min(at) AS at FROM (
       SELECT greatest(not_before, CASE WHEN terminal THEN NULL ELSE progress_after END) AS at
       FROM reports WHERE installation_id = :installationId AND sent_version < version AND NOT given_up
     ) waiting WHERE at > :now`,
    { installationId, now },
  );
  const { rows } = z.object({ rows: z.array(z.object({ at: z.date().nullable() })) }).parse(result);
  return rows[0]?.at ?? undefined;
}

export function urgencyOf(report: Pick<DueReport, 'priority' | 'name' | 'to_create'>): Urgency {
  if (report.priority <= priorities.essential) return 'essential';
  if (report.priority <= priorities.result) return 'result';
  // The opening of a gate tells that a commit was seen at all, and others wait for it.
  return report.name === gateName && report.to_create ? 'result' : 'progress';
}

export interface Wave {
  readonly reports: readonly DueReport[];
  /** Least urgent kind for which there was no room, if any: it decides when to look again. */
  readonly short: Urgency | undefined;
}

/** Chooses the next calls to make at the same time, as far as the write budget allows. */
export function chooseWave(
  due: readonly DueReport[],
  room: Readonly<Record<Urgency, number>>,
  size: number,
): Wave {
  const chosen: DueReport[] = [];
  let short: Urgency | undefined;
  for (const report of due) {
    const urgency = urgencyOf(report);
    if (chosen.length >= room[urgency]) {
      short ??= urgency;
      continue;
    }
    if (isHeld(report, due, room)) continue;
    chosen.push(report);
    if (chosen.length === size) break;
  }
  return { reports: chosen, short };
}

/** Whether a gate's end waits until the checks that are still to be created are there. */
function isHeld(
  report: DueReport,
  due: readonly DueReport[],
  room: Readonly<Record<Urgency, number>>,
): boolean {
  if (report.name !== gateName || !report.terminal || report.to_create) return false;
  const siblings = due.filter((other) => other.revision_id === report.revision_id && other.to_create);
  return siblings.length > 0 && siblings.length < room.result;
}
