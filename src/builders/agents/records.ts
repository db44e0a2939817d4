/** What the database knows of agents: their registration, their sessions, how they are. */
import { timingSafeEqual } from 'node:crypto';
import type { Knex } from 'knex';
import { z } from 'zod';
import { hashToken } from './token.ts';
import type { AgentClaims, AgentLoad } from './types.ts';

/** What an operator allows an agent to offer; what is absent, it decides itself. */
export const agentAllowance = z.object({
  systems: z.array(z.string()).optional(),
  features: z.array(z.string()).optional(),
  slots: z.number().int().positive().optional(),
});
export type AgentAllowance = z.infer<typeof agentAllowance>;

const columns = [
  'id',
  'name',
  'systems',
  'features',
  'mandatory_features',
  'trust_domains',
  'slots',
  'speed',
  'enabled',
  'draining',
  'settings',
  'token_hash',
  'agent_generation',
  'process_id',
  'removed_at',
] as const;

const row = z
  .object({
    id: z.number(),
    name: z.string(),
    systems: z.array(z.string()),
    features: z.array(z.string()),
    mandatory_features: z.array(z.string()),
    trust_domains: z.array(z.string()),
    slots: z.number(),
    speed: z.number(),
    enabled: z.boolean(),
    draining: z.boolean(),
    settings: z.looseObject({ agent: agentAllowance.optional() }),
    token_hash: z.instanceof(Buffer).nullable(),
    agent_generation: z.number(),
    process_id: z.number().nullable(),
    removed_at: z.date().nullable(),
  })
  .transform((found) => ({
    id: found.id,
    name: found.name,
    systems: found.systems,
    features: found.features,
    mandatoryFeatures: found.mandatory_features,
    trustDomains: found.trust_domains,
    slots: found.slots,
    speed: found.speed,
    enabled: found.enabled,
    draining: found.draining,
    allowance: found.settings.agent ?? {},
    tokenHash: found.token_hash,
    generation: found.agent_generation,
    processId: found.process_id,
    removed: found.removed_at !== null,
  }));

/** An agent's row in `builders`. */
export type BuilderRecord = Readonly<z.infer<typeof row>>;

/** The agent whose token this is. */
export async function findAgentByToken(db: Knex, token: string): Promise<BuilderRecord | undefined> {
  const hash = hashToken(token);
  const found: unknown = await db('builders')
    .select(...columns)
    .where({ token_hash: hash, kind: 'agent' })
    .whereNull('removed_at')
    .first();
  if (found === undefined) return undefined;
  const record = row.parse(found);
  return record.tokenHash && timingSafeEqual(record.tokenHash, hash) ? record : undefined;
}

/** Begins a session, on this process; what an earlier one says is not believed from now on. */
export async function beginSession(
  db: Knex,
  { id }: Pick<BuilderRecord, 'id'>,
  claims: AgentClaims,
  processId: number,
): Promise<BuilderRecord | undefined> {
  return db.transaction(async (trx) => {
    // What it is allowed may be changing at this moment.
    const found: unknown = await trx('builders')
      .select(...columns)
      .where({ id })
      .whereNull('removed_at')
      .forNoKeyUpdate()
      .first();
    if (found === undefined) return undefined;
    const { systems, features, slots } = withinAllowance(claims, row.parse(found).allowance);
    const rows: unknown[] = await trx('builders')
      .where({ id })
      .update({
        systems: [...systems],
        features: [...features],
        slots,
        version: claims.version,
        claims: JSON.stringify({ systems: claims.systems, features: claims.features, slots: claims.slots }),
        machine_id: claims.machineId,
        process_id: processId,
        withheld: null,
        seen_at: trx.fn.now(),
        agent_generation: trx.raw('agent_generation + 1'),
      })
      .returning([...columns]);
    return rows.map((updated) => row.parse(updated))[0];
  });
}

/** An agent decides within what it is allowed. */
export function withinAllowance(
  claims: Pick<AgentClaims, 'systems' | 'features' | 'slots'>,
  allowed: AgentAllowance,
): Pick<AgentClaims, 'systems' | 'features' | 'slots'> {
  const among = (claimed: readonly string[], limit: readonly string[] | undefined) =>
    limit ? claimed.filter((one) => limit.includes(one)) : claimed;
  return {
    systems: among(claims.systems, allowed.systems),
    features: among(claims.features, allowed.features),
    slots: Math.min(claims.slots, allowed.slots ?? claims.slots),
  };
}

/** What one process has heard of one of its agents. */
export interface AgentNews {
  readonly id: number;
  readonly generation: number;
  readonly load: AgentLoad;
  /** Why it gets no more for now. */
  readonly withheld: string | null;
}

/** Writes what this process has heard of its agents, in one statement however many they are. */
export async function reportAgents(db: Knex, news: readonly AgentNews[]): Promise<void> {
  if (news.length === 0) return;
  await db.transaction(async (trx) => {
    // What a crashed database forgets of it is told again seconds later.
    await trx.raw('SET LOCAL synchronous_commit = off');
    await trx.raw(
      `WITH heard AS (
         SELECT b.id, n.load, n.withheld
         FROM jsonb_to_recordset(:news::jsonb) AS n (id bigint, generation bigint, load jsonb, withheld text)
         JOIN builders b ON b.id = n.id AND b.agent_generation = n.generation ORDER BY b.id FOR UPDATE OF b)
       UPDATE builders b SET load = heard.load, withheld = heard.withheld, seen_at = now() FROM heard WHERE b.id = heard.id`,
      { news: JSON.stringify(news) },
    );
  });
}

/** The rows of these agents as they are now. */
export async function readAgents(db: Knex, ids: readonly number[]): Promise<readonly BuilderRecord[]> {
  if (ids.length === 0) return [];
  const rows: unknown[] = await db('builders')
    .select(...columns)
    .whereIn('id', [...ids]);
  return rows.map((found) => row.parse(found));
}

/** The agent is not with this process any more. */
export async function endSession(db: Knex, id: number, generation: number): Promise<void> {
  await db('builders')
    .where({ id, agent_generation: generation })
    .update({ process_id: null, load: null, withheld: null });
}

/** Nothing is given to it until an operator enables it again. */
export async function quarantineAgent(db: Knex, id: number, reason: string): Promise<void> {
  await db('builders')
    .where({ id })
    .update({ enabled: false, last_error: `Quarantined: ${reason}` });
}
