/**
 * Taking ready builds from the queue. Any number of processes may claim at the same time: a row
 * that another claim holds is skipped, never waited for.
 */
import type { Knex } from 'knex';
import { z } from 'zod';

export interface ClaimedBuild {
  readonly buildId: number;
  readonly attemptId: number;
  readonly drvPath: string;
  readonly name: string;
  readonly outputs: Readonly<Record<string, string | null>>;
  readonly infrastructureFailures: number;
}

export interface ClaimRequest {
  readonly builder: {
    readonly name: string;
    readonly systems: readonly string[];
    readonly features: readonly string[];
  };
  readonly processId: number;
  /** Free slots. */
  readonly count: number;
}

const claimedRows = z.object({
  rows: z.array(
    z.object({
      build_id: z.number(),
      attempt_id: z.number(),
      drv_path: z.string(),
      name: z.string(),
      outputs: z.record(z.string(), z.string().nullable()),
      infrastructure_failures: z.number(),
    }),
  ),
});

/** Claims up to `count` builds that the builder can do and records an attempt for each. */
export async function claimBuilds(
  trx: Knex.Transaction,
  request: ClaimRequest,
): Promise<readonly ClaimedBuild[]> {
  const result: unknown = await trx.raw(
    `WITH ready AS (
       SELECT id FROM builds
       WHERE state = 'queued' AND (not_before IS NULL OR not_before <= now())
         AND (system = ANY (:systems) OR system = 'builtin') AND required_features <@ :features::text[]
       ORDER BY id LIMIT :count FOR UPDATE SKIP LOCKED
     ), taken AS (
       UPDATE builds b SET state = 'building', started_at = coalesce(started_at, now())
       FROM ready WHERE b.id = ready.id
       RETURNING b.id, b.drv_path, b.name, b.outputs, b.infrastructure_failures
     ), tried AS (
       INSERT INTO attempts (build_id, builder, process_id)
       SELECT id, :builder, :process FROM taken RETURNING id, build_id
     )
     SELECT taken.id AS build_id, tried.id AS attempt_id, drv_path, name, outputs, infrastructure_failures
     FROM taken JOIN tried ON tried.build_id = taken.id ORDER BY taken.id`,
    {
      systems: [...request.builder.systems],
      features: [...request.builder.features],
      count: request.count,
      builder: request.builder.name,
      process: request.processId,
    },
  );
  return claimedRows.parse(result).rows.map((row) => ({
    buildId: row.build_id,
    attemptId: row.attempt_id,
    drvPath: row.drv_path,
    name: row.name,
    outputs: row.outputs,
    infrastructureFailures: row.infrastructure_failures,
  }));
}
