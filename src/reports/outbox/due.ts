/**
 * What may be sent now, and in which order.
 *
 * GitHub calls a suite complete when all its check runs are, and tells other apps and workflows so.
 * So the gate is created before any other check of its revision, and completed after the others have
 * been created, as long as the write budget is not short; then the gate's end comes first.
 *
 * Of reports that are equally urgent the repositories of an installation take turns, so that none waits
 * for thousands of another; within a repository the commits that branches and pull requests stand on come
 * first, the newest before others. Commits that newer ones have replaced show how they ended, and nothing
 * on the way there.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { priorities } from '../desired.ts';
import { gateName } from '../names.ts';
import type { Room, Urgency } from './governor.ts';

const dueRow = z.object({
  id: z.number(),
  revision_id: z.number(),
  project_id: z.number(),
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

/** All its branches and pull requests have ended or moved on, and nobody has asked for it again since. */
const isReplaced = `coalesce((
    SELECT bool_and(lost.at IS NOT NULL) AND max(lost.at) > coalesce(
      (SELECT max(e.queued_at) FROM evaluations e WHERE e.revision_id = v.id), '-infinity')
    FROM (
      SELECT greatest(s.ended_at, (
        SELECT max(n.seen_at) FROM revision_sources n JOIN revisions nv ON nv.id = n.revision_id
        WHERE n.kind = s.kind AND n.name = s.name AND n.seen_at > s.seen_at AND nv.project_id = v.project_id
      )) AS at
      FROM revision_sources s WHERE s.revision_id = v.id
    ) lost
  ), false)`;

/** Unsent reports that need not wait, soonest first; of a project the newest heads first. */
export async function readDue(db: Knex, installationId: number, now: Date): Promise<readonly DueReport[]> {
  const result: unknown = await db.raw(
    `WITH unsent AS (
       SELECT id, revision_id, kind, name, priority, terminal, (${toCreate}) AS to_create
       FROM reports
       WHERE installation_id = :installationId AND sent_version < version AND NOT given_up
         AND (not_before IS NULL OR not_before <= :now)
         AND (terminal OR progress_after IS NULL OR progress_after <= :now)
     ), commits AS MATERIALIZED (
       SELECT v.id, v.project_id, ${isReplaced} AS replaced
       FROM revisions v WHERE v.id IN (SELECT revision_id FROM unsent)
     )
     SELECT r.*, c.project_id FROM unsent r JOIN commits c ON c.id = r.revision_id
     WHERE (r.terminal OR NOT c.replaced
         -- The end of another check waits for this gate to be there.
         OR (r.kind = 'check' AND r.name = :gate AND r.to_create AND EXISTS (
           SELECT 1 FROM unsent s WHERE s.revision_id = r.revision_id AND s.kind = 'check' AND s.terminal)))
       AND (r.kind = 'status' OR r.name = :gate OR NOT EXISTS (
         SELECT 1 FROM reports WHERE revision_id = r.revision_id AND name = :gate AND NOT given_up
            AND sent_version < version AND ${toCreate}))
     ORDER BY r.priority,
       row_number() OVER (PARTITION BY c.project_id, r.priority ORDER BY c.replaced, r.revision_id DESC, r.id),
       r.revision_id DESC, r.id
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

/** Which projects had their turn, and when: larger is later. */
export type Turns = ReadonlyMap<number, number>;

/** Chooses the next calls to make at the same time, as far as the write budget allows. */
export function chooseWave(
  due: readonly DueReport[],
  room: Room,
  size: number,
  turns: Turns = new Map(),
): Wave {
  const chosen: DueReport[] = [];
  let short: Urgency | undefined;
  for (const report of inTurn(due, turns)) {
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

/** Of each priority first the first of each project, those whose last turn is longest ago before others. */
function inTurn(due: readonly DueReport[], turns: Turns): readonly DueReport[] {
  const places = new Map<string, number>();
  const placed = due.map((report) => {
    const key = `${report.priority} ${report.project_id}`;
    const place = places.get(key) ?? 0;
    places.set(key, place + 1);
    return { report, place, turn: turns.get(report.project_id) ?? 0 };
  });
  return placed
    .sort((a, b) => a.report.priority - b.report.priority || a.place - b.place || a.turn - b.turn)
    .map(({ report }) => report);
}

/** Whether a gate's end waits until the checks that are still to be created are there. */
function isHeld(report: DueReport, due: readonly DueReport[], room: Room): boolean {
  if (report.name !== gateName || !report.terminal || report.to_create) return false;
  const siblings = due.filter((other) => other.revision_id === report.revision_id && other.to_create);
  return siblings.length > 0 && siblings.length < room.result;
}
