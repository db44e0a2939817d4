/**
 * What waits, from the database. Lanes are found by jumping through the index `builds_lanes` from one
 * to the next, and of each only the first builds are read: the cost follows the number of lanes and of
 * free slots, not the length of the queue.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { Candidate, WaitingLane } from './assign.ts';
import type { Lane } from './capability.ts';

const laneRows = z.object({
  rows: z.array(
    z
      .object({
        trust_domain: z.string(),
        system: z.string(),
        required_features: z.array(z.string()),
        project: z.number(),
      })
      .transform(
        (row): Lane => ({
          trustDomain: row.trust_domain,
          system: row.system,
          requiredFeatures: row.required_features,
          projectId: row.project,
        }),
      ),
  ),
});

/** All lanes with at least one build that waits. */
export async function waitingLanes(trx: Knex.Transaction): Promise<readonly Lane[]> {
  const result: unknown = await trx.raw(
    `WITH RECURSIVE lanes AS (
       (SELECT trust_domain, system, required_features, coalesce(project_id, 0) AS project
        FROM builds WHERE state = 'queued'
        ORDER BY trust_domain, system, required_features, coalesce(project_id, 0) LIMIT 1)
       UNION ALL
       SELECT n.* FROM lanes l CROSS JOIN LATERAL (
         SELECT b.trust_domain, b.system, b.required_features, coalesce(b.project_id, 0)
         FROM builds b
         WHERE b.state = 'queued' AND (b.trust_domain, b.system, b.required_features, coalesce(b.project_id, 0))
                                    > (l.trust_domain, l.system, l.required_features, l.project)
         ORDER BY b.trust_domain, b.system, b.required_features, coalesce(b.project_id, 0) LIMIT 1) n
     ) SELECT * FROM lanes`,
  );
  return laneRows.parse(result).rows;
}

/** Builders that a build of that lane could go to instead of those where a machine failed. */
const elsewhere = `EXISTS (
  SELECT 1 FROM builders k
  WHERE k.id <> ALL (b.excluded_builder_ids) AND k.enabled AND NOT k.draining AND k.removed_at IS NULL
    AND k.process_id IS NOT NULL AND (k.disabled_until IS NULL OR k.disabled_until <= now())
    AND b.trust_domain = ANY (k.trust_domains) AND (b.system = 'builtin' OR b.system = ANY (k.systems))
    AND b.required_features <@ (k.features || k.mandatory_features)
    AND k.mandatory_features <@ b.required_features)`;

const candidateRows = z.object({
  rows: z.array(
    z.object({
      lane: z.number(),
      id: z.number(),
      priority: z.number(),
      remaining_ms: z.number(),
      // The driver hands arrays of bigint on as texts.
      excluded: z.array(z.coerce.number()),
    }),
  ),
});

export interface LaneLimit {
  readonly lane: Lane;
  /** Builds to read. */
  readonly limit: number;
}

/** Reads and locks the first ready builds of each lane; those that another scheduler holds are skipped. */
export async function lockFirstOf(
  trx: Knex.Transaction,
  lanes: readonly LaneLimit[],
): Promise<readonly WaitingLane[]> {
  const wanted = lanes.map(({ lane, limit }, number) => ({ ...lane, number, limit }));
  const result: unknown = await trx.raw(
    `WITH lanes AS MATERIALIZED (
       SELECT l.number, l."trustDomain" AS trust_domain, l.system, l."projectId" AS project, l.limit,
              ARRAY(SELECT jsonb_array_elements_text(l."requiredFeatures")) AS required_features
       FROM jsonb_to_recordset(?::jsonb) AS l
         (number int, "trustDomain" text, system text, "projectId" bigint, "requiredFeatures" jsonb, "limit" int)
     )
     SELECT l.number AS lane, c.* FROM lanes l CROSS JOIN LATERAL (
       SELECT b.id, b.priority, b.remaining_ms,
              CASE WHEN b.excluded_builder_ids <> '{}' AND ${elsewhere}
                   THEN b.excluded_builder_ids ELSE '{}' END AS excluded
       FROM builds b
       WHERE b.state = 'queued' AND b.trust_domain = l.trust_domain AND b.system = l.system
         AND b.required_features = l.required_features AND coalesce(b.project_id, 0) = l.project
         AND b.cancel_requested_at IS NULL AND (b.not_before IS NULL OR b.not_before <= now())
       ORDER BY b.priority DESC, b.remaining_ms DESC, b.id
       LIMIT l.limit FOR NO KEY UPDATE OF b SKIP LOCKED) c`,
    [JSON.stringify(wanted)],
  );
  const found: Candidate[][] = lanes.map(() => []);
  for (const { lane, remaining_ms: remainingMs, ...row } of candidateRows.parse(result).rows) {
    found[lane]?.push({ ...row, remainingMs });
  }
  return lanes.map(({ lane, limit }, number) => {
    const candidates = found[number] ?? [];
    return { lane, candidates, truncated: candidates.length >= limit };
  });
}

const countRows = z.object({ rows: z.array(z.object({ project: z.number(), running: z.number() })) });

/** How many builds run for each project. */
export async function runningByProject(trx: Knex.Transaction): Promise<ReadonlyMap<number, number>> {
  const result: unknown = await trx.raw(
    `SELECT coalesce(project_id, 0) AS project, count(*) AS running
     FROM builds WHERE state = 'building' GROUP BY project_id`,
  );
  return new Map(countRows.parse(result).rows.map((row) => [row.project, row.running]));
}
