/** What operators change on builders there are. All ways to it, commands and API, end here. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { OperatorError } from '../basics/index.ts';
import { type AgentAllowance, agentAllowance, withinAllowance } from './agents/records.ts';
import { checkWords, invalid } from './registration-words.ts';
import { announceBuilders } from './registry.ts';
import { anew } from './standing.ts';

/** What is absent stays as it is. */
export interface BuilderChange {
  /** True also ends draining, resting and a quarantine. */
  readonly enabled?: boolean | undefined;
  readonly draining?: boolean | undefined;
  readonly speed?: number | undefined;
  /** Of agents these three limit what they say of themselves; null ends the limit. */
  readonly slots?: number | null | undefined;
  readonly systems?: readonly string[] | null | undefined;
  readonly features?: readonly string[] | null | undefined;
  readonly mandatoryFeatures?: readonly string[] | undefined;
  readonly trustDomains?: readonly string[] | undefined;
}

const row = z.object({
  id: z.number(),
  kind: z.enum(['local', 'ssh', 'agent']),
  source: z.enum(['serve', 'config', 'api']),
  systems: z.array(z.string()),
  features: z.array(z.string()),
  mandatory_features: z.array(z.string()),
  slots: z.number(),
  version: z.string().nullable(),
  settings: z.looseObject({ agent: agentAllowance.optional() }),
  claims: z
    .object({ systems: z.array(z.string()), features: z.array(z.string()), slots: z.number() })
    .nullable(),
});
type Row = z.infer<typeof row>;
const removable = row.pick({ id: true, source: true }).extend({ process_id: z.number().nullable() });
type Columns = Readonly<Record<string, unknown>>;

/** Changes a builder; what runs there goes on. Throws an OperatorError when it cannot be changed so. */
export async function changeBuilder(db: Knex, name: string, change: BuilderChange): Promise<void> {
  await db.transaction(async (trx) => {
    const found: unknown = await trx('builders')
      .select(Object.keys(row.shape))
      .where({ name })
      .whereNull('removed_at')
      .forNoKeyUpdate()
      .first();
    if (found === undefined) throw unknownBuilder(name);
    const builder = row.parse(found);
    const columns = { ...standing(change), ...description(name, builder, change) };
    if (Object.keys(columns).length > 0) await trx('builders').where({ id: builder.id }).update(columns);
    await announceBuilders(trx);
  });
}

/**
 * Forgets a builder and its token. Throws for one that comes back by itself: a server would go on without
 * its own machine until it starts anew, and from then on with one that is disabled.
 */
export async function removeBuilder(db: Knex, name: string): Promise<void> {
  await db.transaction(async (trx) => {
    const found: unknown = await trx('builders')
      .select('id', 'source', 'process_id')
      .where({ name })
      .whereNull('removed_at')
      .forNoKeyUpdate()
      .first();
    if (found === undefined) throw unknownBuilder(name);
    const { id, source, process_id: server } = removable.parse(found);
    if (source === 'config' || (source === 'serve' && server !== null))
      throw describedElsewhere(name, source);
    await trx('builders')
      .where({ id })
      .update({ removed_at: trx.fn.now(), enabled: false, token_hash: null });
    await announceBuilders(trx);
  });
}

/** What operators decide on any builder. */
function standing({ enabled, draining, speed }: BuilderChange): Columns {
  return {
    ...(enabled !== undefined && (enabled ? anew : { enabled: false })),
    ...(draining !== undefined && { draining }),
    ...(speed !== undefined && { speed }),
  };
}

/** What a builder is: of those alone that operators have described. */
function description(name: string, builder: Row, change: BuilderChange): Columns {
  const { slots, systems, features, mandatoryFeatures, trustDomains } = change;
  const told = [slots, systems, features, mandatoryFeatures, trustDomains];
  if (told.every((one) => one === undefined)) return {};
  if (builder.source !== 'api') throw describedElsewhere(name, builder.source);
  checkWords([systems, features, mandatoryFeatures, trustDomains]);
  const mandatory = mandatoryFeatures ?? builder.mandatory_features;
  return {
    ...(builder.kind === 'agent' ? limited(builder, change) : described(builder, change, mandatory)),
    ...(mandatoryFeatures && { mandatory_features: [...mandatory] }),
    ...(trustDomains && { trust_domains: [...trustDomains] }),
  };
}

function described(
  builder: Row,
  { slots, systems, features }: BuilderChange,
  mandatory: readonly string[],
): Columns {
  if (slots === null || systems === null || features === null) {
    throw invalid('Only an agent says by itself what it has.', 'Name what this builder has.');
  }
  if (systems?.length === 0) {
    throw invalid('A builder over SSH needs its systems.', 'For example --systems x86_64-linux.');
  }
  const own = features ?? builder.features.filter((name) => !builder.mandatory_features.includes(name));
  return {
    ...(slots !== undefined && { slots }),
    ...(systems && { systems: [...systems] }),
    // What is mandatory is there as well.
    features: [...new Set([...own, ...mandatory])],
  };
}

/** What an agent says of itself is the most it gets. */
function limited(builder: Row, { slots, systems, features }: BuilderChange): Columns {
  const before = builder.settings.agent ?? {};
  const allowance: AgentAllowance = {
    ...chosen('slots', slots, before.slots),
    ...chosen('systems', systems && [...systems], before.systems),
    ...chosen('features', features && [...features], before.features),
  };
  // One that has not connected yet has what it is allowed; of one that did before this was kept, what it has.
  const never = {
    slots: allowance.slots ?? 1,
    systems: allowance.systems ?? [],
    features: allowance.features ?? [],
  };
  const claims = builder.claims ?? (builder.version === null ? never : builder);
  const now = withinAllowance(claims, allowance);
  return {
    settings: JSON.stringify({ ...builder.settings, agent: allowance }),
    slots: now.slots,
    systems: [...now.systems],
    features: [...now.features],
  };
}

function chosen<K extends string, V>(key: K, wish: V | null | undefined, before: V | undefined) {
  const value = wish === undefined ? before : (wish ?? undefined);
  return value === undefined ? {} : { [key]: value };
}

function unknownBuilder(name: string): OperatorError {
  return new OperatorError({
    code: 'unknown-builder',
    message: `There is no builder '${name}'.`,
    hint: "'ringmaster builder list' shows those there are.",
  });
}

function describedElsewhere(name: string, source: 'serve' | 'config'): OperatorError {
  const where =
    source === 'config'
      ? `'${name}' is described by the configuration file, which says so again at each start.`
      : `'${name}' is the machine of a server, which tells what it has by itself (builds.slots).`;
  return new OperatorError({
    code: 'builder-described-elsewhere',
    message: where,
    hint: 'Change it there. Here it can be enabled, disabled, drained, and given another speed.',
  });
}
