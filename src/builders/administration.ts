/** What operators do with builders: register, look at, enable, disable, drain, remove, new tokens. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { OperatorError } from '../basics/index.ts';
import { hashToken, newAgentToken } from './agents/token.ts';

/** NOTIFY channel that tells servers of changes to the registered builders. */
export const buildersChannel = 'ringmaster_builders';

export interface BuilderRegistration {
  readonly name: string;
  /** `ssh-ng://…`; without one it is an agent. */
  readonly uri?: string | undefined;
  /** For agents these limit what they offer by themselves; absent: as they say. */
  readonly systems?: readonly string[] | undefined;
  readonly features?: readonly string[] | undefined;
  readonly slots?: number | undefined;
  readonly mandatoryFeatures?: readonly string[] | undefined;
  readonly speed?: number | undefined;
  readonly trustDomains?: readonly string[] | undefined;
}

export const builderChanges = ['enable', 'disable', 'drain', 'remove'] as const;
export type BuilderChange = (typeof builderChanges)[number];

const nameRule = /^[A-Za-z0-9][\w.-]{0,62}$/;
const words = z.array(z.string());

const row = z
  .object({
    id: z.number(),
    name: z.string(),
    kind: z.string(),
    uri: z.string().nullable(),
    systems: words,
    features: words,
    mandatory_features: words,
    trust_domains: words,
    slots: z.number(),
    speed: z.number(),
    enabled: z.boolean(),
    draining: z.boolean(),
    source: z.string(),
    connected: z.boolean(),
    seen_at: z.date(),
    version: z.string().nullable(),
    load: z.record(z.string(), z.number()).nullable(),
    disabled_until: z.date().nullable(),
    last_error: z.string().nullable(),
    running: z.number(),
  })
  .transform((found) => ({
    id: found.id,
    name: found.name,
    kind: found.kind,
    uri: found.uri,
    systems: found.systems,
    features: found.features,
    mandatoryFeatures: found.mandatory_features,
    trustDomains: found.trust_domains,
    slots: found.slots,
    running: found.running,
    speed: found.speed,
    enabled: found.enabled,
    draining: found.draining,
    /** A server process drives it now; for an agent: it is there. */
    connected: found.connected,
    seenAt: found.seen_at.toISOString(),
    source: found.source,
    version: found.version,
    load: found.load,
    restsUntil: found.disabled_until?.toISOString() ?? null,
    lastError: found.last_error,
  }));

/** A builder as people and programs see it. The names are those of the API. */
export type BuilderSummary = Readonly<z.infer<typeof row>>;

/** All builders that were not removed, by name. */
export async function listBuilders(db: Knex, name?: string): Promise<readonly BuilderSummary[]> {
  const rows: unknown[] = await db('builders')
    .select('*')
    .select(
      db.raw('process_id IS NOT NULL AS connected'),
      db.raw(`(SELECT count(*)::int FROM attempts a
               WHERE a.builder_id = builders.id AND a.state = 'running') AS running`),
    )
    .whereNull('removed_at')
    .modify((query) => (name === undefined ? query : query.where({ name })))
    .orderBy('name');
  return rows.map((found) => row.parse(found));
}

/** Throws an OperatorError when there is none of that name. */
export async function findBuilder(db: Knex, name: string): Promise<BuilderSummary> {
  const [found] = await listBuilders(db, name);
  if (found) return found;
  const others = (await listBuilders(db)).map((builder) => builder.name);
  throw new OperatorError({
    code: 'builder-unknown',
    message: `There is no builder '${name}'.`,
    hint: others.length === 0 ? 'None is registered yet.' : `There are: ${others.join(', ')}.`,
  });
}

/** Registers a builder; the token is an agent's, and is not kept. */
export async function registerBuilder(
  db: Knex,
  registration: BuilderRegistration,
): Promise<{ readonly id: number; readonly token: string | undefined }> {
  check(registration);
  const { name, uri } = registration;
  const token = uri === undefined ? newAgentToken() : undefined;
  const limits = {
    ...(registration.systems && { systems: registration.systems }),
    ...(registration.features && { features: registration.features }),
    ...(registration.slots !== undefined && { slots: registration.slots }),
  };
  const values = {
    name,
    kind: uri === undefined ? 'agent' : 'ssh',
    uri: uri ?? null,
    systems: [...(registration.systems ?? [])],
    features: [...(registration.features ?? [])],
    mandatory_features: [...(registration.mandatoryFeatures ?? [])],
    trust_domains: [...(registration.trustDomains ?? ['trusted'])],
    slots: registration.slots ?? 1,
    speed: registration.speed ?? 1,
    source: 'api',
    enabled: true,
    draining: false,
    token_hash: token === undefined ? null : hashToken(token),
    settings: JSON.stringify(uri === undefined ? { agent: limits } : {}),
    last_error: null,
    removed_at: null,
    process_id: null,
  };
  const id = await db.transaction(async (trx) => {
    // The row of a builder that was removed keeps the history of its name.
    const rows: unknown[] = await trx('builders')
      .insert(values)
      .onConflict('name')
      .merge()
      .whereNotNull('builders.removed_at')
      .returning('id');
    await announce(trx);
    return z.array(z.object({ id: z.number() })).parse(rows)[0]?.id;
  });
  if (id !== undefined) return { id, token };
  throw new OperatorError({
    code: 'builder-exists',
    message: `There is a builder '${name}' already.`,
    hint: `Take another name, or remove it first: ringmaster builder remove ${name}`,
  });
}

/** Enables, disables, drains or removes. Repeating it changes nothing. */
export async function changeBuilder(db: Knex, name: string, change: BuilderChange): Promise<void> {
  const { id } = await findBuilder(db, name);
  const values = {
    enable: {
      enabled: true,
      draining: false,
      last_error: null,
      disabled_until: null,
      consecutive_failures: 0,
    },
    disable: { enabled: false },
    drain: { draining: true },
    remove: { removed_at: db.fn.now(), token_hash: null, enabled: false },
  }[change];
  await db.transaction(async (trx) => {
    await trx('builders').where({ id }).update(values);
    await announce(trx);
  });
}

/** A new token for an agent; the old one is worth nothing from now on. */
export async function renewBuilderToken(db: Knex, name: string): Promise<string> {
  const { id, kind } = await findBuilder(db, name);
  if (kind !== 'agent') {
    throw new OperatorError({
      code: 'not-an-agent',
      message: `'${name}' is no agent, so it needs no token.`,
    });
  }
  const token = newAgentToken();
  await db.transaction(async (trx) => {
    await trx('builders')
      .where({ id })
      .update({ token_hash: hashToken(token) });
    await announce(trx);
  });
  return token;
}

async function announce(trx: Knex.Transaction): Promise<void> {
  await trx.raw('SELECT pg_notify(?, ?)', [buildersChannel, '']);
}

function check({ name, uri, systems, features, mandatoryFeatures, trustDomains }: BuilderRegistration): void {
  const wrong = (message: string, hint: string) =>
    new OperatorError({ code: 'builder-invalid', message, hint, exitStatus: 2 });
  if (!nameRule.test(name)) {
    throw wrong(
      `'${name}' cannot be the name of a builder.`,
      'Use letters, digits, dots, dashes and underscores.',
    );
  }
  const bad = [systems, features, mandatoryFeatures, trustDomains]
    .flatMap((list) => list ?? [])
    .find((word) => !/^[\w.+-]{1,64}$/.test(word));
  if (bad !== undefined) throw wrong(`'${bad}' is no name.`, 'Separate names with commas, without spaces.');
  if (uri !== undefined && !/^ssh(-ng)?:\/\/[^\s/]/.test(uri)) {
    throw wrong(`'${uri}' is no address of a builder.`, 'It looks like this: ssh-ng://nix@host.example.org');
  }
  if (uri !== undefined && (systems ?? []).length === 0) {
    throw wrong('A builder over SSH needs its systems.', 'For example --systems x86_64-linux.');
  }
}
