/**
 * Taking ready builds from the queue for all the builders that a process drives. Any number of
 * processes may claim at the same time: a row that another claim holds is skipped, never waited for.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { longestAgentLease } from '../basics/config/index.ts';
import { type ResolvedDerivation, resolvedDerivation } from '../nix/index.ts';
import { type Assignment, assignBuilds, type BuilderCapacity } from './scheduling/assign.ts';
import { canTake } from './scheduling/capability.ts';
import { type LaneLimit, lockFirstOf, runningByProject, waitingLanes } from './scheduling/queue-lanes.ts';

export interface ClaimedBuild {
  readonly buildId: number;
  readonly attemptId: number;
  readonly builderId: number;
  readonly drvPath: string;
  readonly name: string;
  readonly outputs: Readonly<Record<string, string | null>>;
  readonly trustDomain: string;
  /** Seconds, of the derivation itself; undefined: the server's setting. */
  readonly timeoutSeconds: number | undefined;
  readonly maxSilentSeconds: number | undefined;
  /** Undefined: it is in the store. */
  readonly derivation: ResolvedDerivation | undefined;
  /** It is built again to be compared; the build itself is over. */
  readonly check?: boolean;
}

/** A builder with free slots. */
export interface ClaimingBuilder extends BuilderCapacity {
  /** Its attempts outlive the server process. */
  readonly leased?: boolean;
}

export interface ClaimRequest {
  /** Those without free slots count as well: they tell what is scarce. */
  readonly builders: readonly ClaimingBuilder[];
  readonly processId: number;
}

export interface Claim {
  readonly builds: readonly ClaimedBuild[];
  /** Slots may be left for which another claim would find more. */
  readonly more: boolean;
  /** Something waits for these builders, but others were claiming it. */
  readonly contended: boolean;
}

const nothing: Claim = { builds: [], more: false, contended: false };
/** Of every lane at least so many builds are looked at. */
const leastPerLane = 16;

/** Claims builds for the free slots and records an attempt for each. */
export async function claimBuilds(trx: Knex.Transaction, request: ClaimRequest): Promise<Claim> {
  const { builders } = request;
  const limits = limitsFor(await waitingLanes(trx), builders);
  if (limits.length === 0) return nothing;
  const lanes = await lockFirstOf(trx, limits);
  if (lanes.every(({ candidates }) => candidates.length === 0)) return { ...nothing, contended: true };
  const severalProjects = new Set(limits.map(({ lane }) => lane.projectId)).size > 1;
  const running = severalProjects ? await runningByProject(trx) : new Map();
  const { assignments, more } = assignBuilds({ lanes, builders, running });
  const builds = await takeBuilds(trx, assignments, request);
  return { builds, more: more && builds.length > 0, contended: false };
}

/** How many builds of each lane to look at: all that could be taken, and of many lanes a part. */
function limitsFor(
  lanes: Awaited<ReturnType<typeof waitingLanes>>,
  builders: readonly ClaimingBuilder[],
): readonly LaneLimit[] {
  const limits = lanes
    .map((lane) => ({
      lane,
      limit: builders.reduce((sum, builder) => sum + (canTake(builder, lane) ? builder.free : 0), 0),
    }))
    .filter(({ limit }) => limit > 0);
  const free = builders.reduce((sum, builder) => sum + builder.free, 0);
  const most = Math.max(leastPerLane, Math.ceil((2 * free) / Math.max(1, limits.length)));
  return limits.map(({ lane, limit }) => ({ lane, limit: Math.min(limit, most) }));
}

/** A row of the database as a claimed build. */
export const claimedBuild = z
  .object({
    build_id: z.number(),
    attempt_id: z.number(),
    builder_id: z.number(),
    drv_path: z.string(),
    name: z.string(),
    outputs: z.record(z.string(), z.string().nullable()),
    trust_domain: z.string(),
    timeout_seconds: z.number().nullable(),
    max_silent_seconds: z.number().nullable(),
    derivation: z.instanceof(Buffer).nullable(),
    check_id: z.number().nullable().optional(),
  })
  .transform(
    (row): ClaimedBuild => ({
      buildId: row.build_id,
      attemptId: row.attempt_id,
      builderId: row.builder_id,
      drvPath: row.drv_path,
      name: row.name,
      outputs: row.outputs,
      trustDomain: row.trust_domain,
      timeoutSeconds: row.timeout_seconds ?? undefined,
      maxSilentSeconds: row.max_silent_seconds ?? undefined,
      derivation: row.derivation === null ? undefined : resolvedDerivation(row.derivation),
      ...(row.check_id && { check: true }),
    }),
  );

const claimedRows = z.object({ rows: z.array(claimedBuild) });

async function takeBuilds(
  trx: Knex.Transaction,
  assignments: readonly Assignment[],
  { builders, processId }: ClaimRequest,
): Promise<readonly ClaimedBuild[]> {
  if (assignments.length === 0) return [];
  const leased = new Set(builders.filter((builder) => builder.leased).map((builder) => builder.id));
  const result: unknown = await trx.raw(
    `WITH wanted AS MATERIALIZED (
       SELECT * FROM unnest(:builds::bigint[], :ids::bigint[], :names::text[], :leased::boolean[])
         AS w (build_id, builder_id, builder, leased)
     ), taken AS (
       UPDATE builds b SET state = 'building', started_at = coalesce(started_at, now())
       WHERE b.id = ANY (:builds) AND b.state = 'queued'
       RETURNING b.id, b.drv_path, b.name, b.outputs, b.trust_domain, b.timeout_seconds, b.max_silent_seconds
     ), tried AS (
       INSERT INTO attempts (build_id, builder, builder_id, process_id, lease_until)
       SELECT taken.id, w.builder, w.builder_id, :process,
              CASE WHEN w.leased THEN now() + ${longestAgentLease} * interval '1 second' END
       FROM taken JOIN wanted w ON w.build_id = taken.id ORDER BY taken.id
       RETURNING id, build_id, builder_id
     )
     SELECT tried.id AS attempt_id, build_id, builder_id, drv_path, name, outputs, trust_domain,
            timeout_seconds, max_silent_seconds, d.derivation
     FROM taken JOIN tried ON tried.build_id = taken.id
     LEFT JOIN build_derivations d USING (build_id) ORDER BY tried.id`,
    {
      builds: assignments.map(({ buildId }) => buildId),
      ids: assignments.map(({ builder }) => builder.id),
      names: assignments.map(({ builder }) => builder.name),
      leased: assignments.map(({ builder }) => leased.has(builder.id)),
      process: processId,
    },
  );
  return claimedRows.parse(result).rows;
}
