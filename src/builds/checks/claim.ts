/** Taking checks for slots that no build wants. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { longestAgentLease } from '../../basics/config/index.ts';
import type { ClaimedBuild, ClaimingBuilder } from '../claim.ts';
import { canTake } from '../scheduling/capability.ts';

/** Looked at in one claim. */
const lookedAt = 100;

const waitingRow = z.object({
  check_id: z.number(),
  excluded_builder_ids: z.array(z.number()),
  build_id: z.number(),
  drv_path: z.string(),
  name: z.string(),
  system: z.string(),
  required_features: z.array(z.string()),
  outputs: z.record(z.string(), z.string().nullable()),
  trust_domain: z.string(),
  timeout_seconds: z.number().nullable(),
  max_silent_seconds: z.number().nullable(),
});
type Waiting = z.infer<typeof waitingRow>;

/** Claims at most one check for each builder with a free slot, the oldest first. */
export async function claimChecks(
  trx: Knex.Transaction,
  builders: readonly ClaimingBuilder[],
  processId: number,
): Promise<readonly ClaimedBuild[]> {
  const idle = new Set(builders.filter((builder) => builder.free > 0));
  const claimed: ClaimedBuild[] = [];
  for (const check of await waitingChecks(trx, [...idle])) {
    const builder = [...idle].find((one) => fits(one, check));
    if (!builder) continue;
    const attemptId = await begin(trx, check, builder, processId);
    if (attemptId === undefined) continue;
    idle.delete(builder);
    claimed.push(claimedCheck(check, builder.id, attemptId));
  }
  return claimed;
}

async function waitingChecks(
  trx: Knex.Transaction,
  builders: readonly ClaimingBuilder[],
): Promise<readonly Waiting[]> {
  if (builders.length === 0) return [];
  const result: unknown = await trx.raw(
    `SELECT c.id AS check_id, c.excluded_builder_ids, b.id AS build_id, b.drv_path, b.name, b.system,
            b.required_features, b.outputs, b.trust_domain, b.timeout_seconds, b.max_silent_seconds
     FROM build_checks c JOIN builds b ON b.id = c.build_id
     WHERE c.finished_at IS NULL
       -- As \`fits\`: those that nobody here can take would fill what is looked at, and keep all others waiting.
       AND EXISTS (
         SELECT 1 FROM jsonb_to_recordset(:builders::jsonb) AS k (id bigint, systems text[], features text[],
                         "mandatoryFeatures" text[], "trustDomains" text[])
         WHERE k.id <> ALL (c.excluded_builder_ids) AND b.trust_domain = ANY (k."trustDomains")
           AND (b.system = 'builtin' OR b.system = ANY (k.systems))
           AND b.required_features <@ (k.features || k."mandatoryFeatures")
           AND k."mandatoryFeatures" <@ b.required_features)
       AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.build_id = c.build_id AND a.state = 'running')
     ORDER BY c.id LIMIT ${lookedAt} FOR NO KEY UPDATE OF c SKIP LOCKED`,
    { builders: JSON.stringify(builders.map(capabilityOf)) },
  );
  return z.object({ rows: z.array(waitingRow) }).parse(result).rows;
}

function capabilityOf({ id, systems, features, mandatoryFeatures, trustDomains }: ClaimingBuilder) {
  return { id, systems, features, mandatoryFeatures, trustDomains };
}

function fits(builder: ClaimingBuilder, check: Waiting): boolean {
  const lane = {
    trustDomain: check.trust_domain,
    system: check.system,
    requiredFeatures: check.required_features,
  };
  return !check.excluded_builder_ids.includes(builder.id) && canTake(builder, lane);
}

/** Undefined: another process has begun it meanwhile. */
async function begin(
  trx: Knex.Transaction,
  check: Waiting,
  builder: ClaimingBuilder,
  processId: number,
): Promise<number | undefined> {
  const lease = builder.leased ? trx.raw(`now() + ${longestAgentLease} * interval '1 second'`) : null;
  const written: unknown = await trx('attempts')
    .insert({
      build_id: check.build_id,
      check_id: check.check_id,
      builder: builder.name,
      builder_id: builder.id,
      process_id: processId,
      lease_until: lease,
    })
    .onConflict(trx.raw("(build_id) WHERE state = 'running'"))
    .ignore()
    .returning('id');
  return z.array(z.object({ id: z.number() })).parse(written)[0]?.id;
}

function claimedCheck(check: Waiting, builderId: number, attemptId: number): ClaimedBuild {
  return {
    buildId: check.build_id,
    attemptId,
    builderId,
    drvPath: check.drv_path,
    name: check.name,
    outputs: check.outputs,
    trustDomain: check.trust_domain,
    timeoutSeconds: check.timeout_seconds ?? undefined,
    maxSilentSeconds: check.max_silent_seconds ?? undefined,
    derivation: undefined,
    check: true,
  };
}
