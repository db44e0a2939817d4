/**
 * The builders there are, whoever drives them. Three sorts of rows, by `source`:
 *   serve   the own machine of a server process; gone a while after that process
 *   config  from the configuration file; removed when it is not there any more
 *   api     made by an operator, until one removes it
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { OperatorError } from '../basics/index.ts';
import { anew } from './standing.ts';

/** NOTIFY channel that tells who drives builders that an operator or a configuration changed one. */
export const buildersChannel = 'ringmaster_builders';

export interface BuilderDescription {
  readonly name: string;
  readonly kind: 'local' | 'ssh' | 'agent';
  readonly uri?: string | undefined;
  readonly systems: readonly string[];
  readonly features: readonly string[];
  readonly mandatoryFeatures: readonly string[];
  readonly slots: number;
  readonly speed: number;
  readonly trustDomains: readonly string[];
  /** What only its kind needs: keys, options. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface RegisteredBuilder extends BuilderDescription {
  readonly id: number;
  readonly source: 'serve' | 'config' | 'api';
  readonly enabled: boolean;
  readonly draining: boolean;
  /** A server process drives it now; for an agent: it is there. */
  readonly connected: boolean;
  readonly running: number;
  readonly consecutiveFailures: number;
  /** It gets no builds until then, because its machine failed. */
  readonly disabledUntil: Date | undefined;
  readonly lastError: string | undefined;
  readonly version: string | undefined;
  /** Why an agent that is connected gets no more for now. */
  readonly withheld: string | undefined;
  /** Last heartbeat of an agent: load, memory, pressure. */
  readonly load: unknown;
  readonly seenAt: Date;
}

const row = z
  .object({
    id: z.number(),
    name: z.string(),
    kind: z.enum(['local', 'ssh', 'agent']),
    uri: z.string().nullable(),
    systems: z.array(z.string()),
    features: z.array(z.string()),
    mandatory_features: z.array(z.string()),
    slots: z.number(),
    speed: z.number(),
    trust_domains: z.array(z.string()),
    settings: z.record(z.string(), z.unknown()),
    source: z.enum(['serve', 'config', 'api']),
    enabled: z.boolean(),
    draining: z.boolean(),
    process_id: z.number().nullable(),
    running: z.number(),
    consecutive_failures: z.number(),
    disabled_until: z.date().nullable(),
    last_error: z.string().nullable(),
    version: z.string().nullable(),
    withheld: z.string().nullable(),
    load: z.unknown(),
    seen_at: z.date(),
  })
  .transform(
    (found): RegisteredBuilder => ({
      id: found.id,
      name: found.name,
      kind: found.kind,
      uri: found.uri ?? undefined,
      systems: found.systems,
      features: found.features,
      mandatoryFeatures: found.mandatory_features,
      slots: found.slots,
      speed: found.speed,
      trustDomains: found.trust_domains,
      settings: found.settings,
      source: found.source,
      enabled: found.enabled,
      draining: found.draining,
      connected: found.process_id !== null,
      running: found.running,
      consecutiveFailures: found.consecutive_failures,
      disabledUntil: found.disabled_until ?? undefined,
      lastError: found.last_error ?? undefined,
      version: found.version ?? undefined,
      withheld: found.withheld ?? undefined,
      load: found.load,
      seenAt: found.seen_at,
    }),
  );

/** All that were not removed, by name, with how much runs on each. */
export async function listBuilders(db: Knex): Promise<readonly RegisteredBuilder[]> {
  const found: unknown = await db('builders as k')
    .whereNull('removed_at')
    .select('k.*')
    .select(
      db.raw(
        "(SELECT count(*) FROM attempts a WHERE a.builder_id = k.id AND a.state = 'running')::int AS running",
      ),
    )
    .orderBy('k.name');
  return z.array(row).parse(found);
}

/** What a description is in the table; `speed` is for whoever writes it to say. */
export function columnsOf(builder: BuilderDescription) {
  return {
    name: builder.name,
    kind: builder.kind,
    uri: builder.uri ?? null,
    systems: [...builder.systems],
    // What is mandatory is there as well: whoever asks who could take a build looks at these.
    features: [...new Set([...builder.features, ...builder.mandatoryFeatures])],
    mandatory_features: [...builder.mandatoryFeatures],
    slots: builder.slots,
    trust_domains: [...builder.trustDomains],
    settings: JSON.stringify(builder.settings ?? {}),
  };
}

/** Makes a builder that stays until it is removed. Rejects when there is one of that name. */
export async function registerBuilder(
  db: Knex,
  builder: BuilderDescription,
): Promise<{ readonly id: number }> {
  return db.transaction(async (trx) => {
    const values = { ...columnsOf(builder), speed: builder.speed, source: 'api', process_id: null, ...anew };
    // The row of a builder that was removed keeps the history of its name.
    const written: unknown = await trx('builders')
      .insert(values)
      .onConflict('name')
      .merge(values)
      .whereNotNull('builders.removed_at')
      .returning('id');
    const [found] = z.array(z.object({ id: z.number() })).parse(written);
    if (!found) {
      throw new OperatorError({
        code: 'builder-exists',
        message: `There is a builder '${builder.name}' already.`,
        hint: `Take another name, or remove it first: ringmaster builder remove ${builder.name}`,
      });
    }
    await announceBuilders(trx);
    return found;
  });
}

/** Tells of changed builders, with the transaction. */
export async function announceBuilders(trx: Knex.Transaction): Promise<void> {
  await trx.raw('SELECT pg_notify(?, ?)', [buildersChannel, '']);
}
