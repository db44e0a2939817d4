/** Rows of builds, many at a time: new ones, and what later wishes ask of those that are there. */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { BuildLimits, WantedBuild } from './wanted.ts';
import type { Weight } from './weights.ts';

export interface NewBuild extends WantedBuild {
  readonly limits: BuildLimits;
  readonly weight: Weight;
}

const buildRow = z.object({ id: z.number(), drv_path: z.string(), inputs_only: z.boolean() });

/** New builds, all of them `blocked` until their inputs have been counted. */
export async function insertBuilds(
  trx: Knex.Transaction,
  builds: readonly NewBuild[],
  projectId: number | undefined,
): Promise<readonly z.infer<typeof buildRow>[]> {
  if (builds.length === 0) return [];
  const rows = builds.map(({ inputs: _, derivation: __, limits, weight, ...build }) => ({
    ...build,
    timeoutSeconds: limits.timeoutSeconds,
    maxSilentSeconds: limits.maxSilentSeconds,
    priority: weight.priority,
    remainingMs: Math.round(weight.remaining),
  }));
  // One parameter for all rows: 20,000 builds would not fit into the protocol's 65,535 parameters.
  const result: unknown = await trx.raw(
    `INSERT INTO builds (drv_path, inputs_only, name, system, required_features, outputs, fixed_output, state,
                         project_id, priority, remaining_ms, timeout_seconds, max_silent_seconds)
     SELECT b."drvPath", b."inputsOnly", b.name, b.system,
            ARRAY(SELECT jsonb_array_elements_text(b."requiredFeatures")), b.outputs,
            coalesce(b."fixedOutput", false), 'blocked',
            ?, b.priority, b."remainingMs", b."timeoutSeconds", b."maxSilentSeconds"
     FROM jsonb_to_recordset(?::jsonb) AS b ("drvPath" text, "inputsOnly" boolean, name text, system text,
            "requiredFeatures" jsonb, outputs jsonb, "fixedOutput" boolean, priority int, "remainingMs" bigint,
            "timeoutSeconds" int, "maxSilentSeconds" int)
     RETURNING id, drv_path, inputs_only`,
    [projectId ?? null, JSON.stringify(rows)],
  );
  return z.object({ rows: z.array(buildRow) }).parse(result).rows;
}

/** Gives new builds their texts, as far as these are known. */
export async function insertDerivations(
  trx: Knex.Transaction,
  derivations: ReadonlyMap<number, Buffer>,
): Promise<void> {
  if (derivations.size === 0) return;
  await trx.raw(
    `INSERT INTO build_derivations (build_id, derivation) SELECT * FROM unnest(?::bigint[], ?::bytea[])`,
    [[...derivations.keys()], [...derivations.values()]],
  );
}

export interface RaisedBuild {
  readonly id: number;
  readonly limits: BuildLimits;
  readonly weight: Weight;
}

/** Lets unfinished builds be as urgent, and take as long, as the most that anybody asks for. */
export async function raiseBuilds(trx: Knex.Transaction, builds: readonly RaisedBuild[]): Promise<void> {
  if (builds.length === 0) return;
  await trx.raw(
    `WITH wished AS (
       SELECT * FROM jsonb_to_recordset(?::jsonb)
         AS w (id bigint, priority int, remaining_ms bigint, timeout_seconds int, max_silent_seconds int)
     ), locked AS (
       SELECT b.id FROM builds b JOIN wished w ON w.id = b.id
       WHERE b.finished_at IS NULL
         AND (b.priority < w.priority OR b.remaining_ms < w.remaining_ms
              OR greatest(b.timeout_seconds, w.timeout_seconds) IS DISTINCT FROM b.timeout_seconds
              OR greatest(b.max_silent_seconds, w.max_silent_seconds) IS DISTINCT FROM b.max_silent_seconds)
       ORDER BY b.id FOR NO KEY UPDATE OF b
     )
     UPDATE builds b SET priority = greatest(b.priority, w.priority),
            remaining_ms = greatest(b.remaining_ms, w.remaining_ms),
            timeout_seconds = greatest(b.timeout_seconds, w.timeout_seconds),
            max_silent_seconds = greatest(b.max_silent_seconds, w.max_silent_seconds)
     FROM wished w WHERE b.id = w.id AND b.id IN (SELECT id FROM locked)`,
    [
      JSON.stringify(
        builds.map(({ id, limits, weight }) => ({
          id,
          priority: weight.priority,
          remaining_ms: Math.round(weight.remaining),
          timeout_seconds: limits.timeoutSeconds,
          max_silent_seconds: limits.maxSilentSeconds,
        })),
      ),
    ],
  );
}
