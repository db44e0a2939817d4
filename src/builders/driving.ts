/** The builders that server processes register and drive by themselves. */
import { hostname } from 'node:os';
import type { Knex } from 'knex';
import { z } from 'zod';
import { OperatorError } from '../basics/index.ts';
import { announceBuilders, type BuilderDescription, columnsOf } from './registry.ts';

/** An ssh builder that this process drives. */
export interface HeldBuilder extends BuilderDescription {
  readonly id: number;
  readonly uri: string;
}

const idRows = z.array(z.object({ id: z.number(), name: z.string() }));

/**
 * Registers the machine of a server process under its host's name, or with a number behind it where
 * another living process of the same host has that. What an operator decided about it stays.
 */
export async function registerOwnMachine(
  db: Knex,
  machine: Omit<BuilderDescription, 'name'>,
  processId: number,
): Promise<{ readonly id: number; readonly name: string }> {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? hostname() : `${hostname()}-${number}`;
    const values = { ...columnsOf({ ...machine, name }), process_id: processId, seen_at: db.fn.now() };
    const written: unknown = await db('builders')
      .insert({ ...values, speed: machine.speed, source: 'serve' })
      .onConflict('name')
      .merge({ ...values, removed_at: null })
      .whereRaw("builders.source = 'serve' AND (builders.process_id IS NULL OR builders.process_id = ?)", [
        processId,
      ])
      .returning(['id', 'name']);
    const [found] = idRows.parse(written);
    if (found) return found;
  }
}

/**
 * Makes the registry agree with the configuration. Any number of servers with the same configuration
 * may do it at the same time.
 */
export async function syncConfiguredBuilders(
  db: Knex,
  builders: readonly BuilderDescription[],
): Promise<void> {
  await db.transaction(async (trx) => {
    for (const builder of [...builders].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const values = { ...columnsOf(builder), speed: builder.speed };
      const written: unknown = await trx('builders')
        .insert({ ...values, source: 'config' })
        .onConflict('name')
        .merge({ ...values, source: 'config', removed_at: null })
        .whereRaw("builders.source = 'config' OR builders.removed_at IS NOT NULL")
        .returning(['id', 'name']);
      if (idRows.parse(written).length > 0) continue;
      throw new OperatorError({
        code: 'builder-exists',
        message: `The configuration names a builder '${builder.name}', and one of that name is registered.`,
        hint: 'Give it another name, or remove the registered one.',
      });
    }
    await trx('builders')
      .where({ source: 'config', removed_at: null })
      .whereNotIn(
        'name',
        builders.map((builder) => builder.name),
      )
      .update({ removed_at: trx.fn.now(), process_id: null });
    await announceBuilders(trx);
  });
}

const heldRows = z.array(
  z
    .object({
      id: z.number(),
      name: z.string(),
      uri: z.string(),
      systems: z.array(z.string()),
      features: z.array(z.string()),
      mandatory_features: z.array(z.string()),
      slots: z.number(),
      speed: z.number(),
      trust_domains: z.array(z.string()),
    })
    .transform(
      ({ mandatory_features, trust_domains, ...found }): HeldBuilder => ({
        ...found,
        kind: 'ssh',
        mandatoryFeatures: mandatory_features,
        trustDomains: trust_domains,
      }),
    ),
);

/**
 * Takes the ssh builders that no living process drives, so that each is driven by exactly one, and
 * returns all that this process drives now.
 */
export async function holdSshBuilders(db: Knex, processId: number): Promise<readonly HeldBuilder[]> {
  await db.raw(
    `UPDATE builders SET process_id = :processId, seen_at = now()
     WHERE id IN (SELECT id FROM builders WHERE kind = 'ssh' AND process_id IS NULL AND removed_at IS NULL
                  ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) AND process_id IS NULL`,
    { processId },
  );
  const found: unknown = await db('builders')
    .where({ kind: 'ssh', process_id: processId })
    .whereNull('removed_at')
    .whereNotNull('uri')
    .select('*')
    .orderBy('id');
  return heldRows.parse(found);
}

/** Machines of servers that have been gone for so long are not shown any more; minutes. */
const goneAfterMinutes = 10;

/** Says that what this process drives was seen now, and forgets machines whose servers are gone. */
export async function noteSeenBuilders(db: Knex, processId: number): Promise<void> {
  await db('builders')
    .where({ process_id: processId })
    .whereNot('kind', 'agent')
    .update({ seen_at: db.fn.now() });
  await db.raw(
    `UPDATE builders SET removed_at = now()
     WHERE source = 'serve' AND process_id IS NULL AND removed_at IS NULL
       AND seen_at < now() - interval '${goneAfterMinutes} minutes'`,
  );
}

/** Leaves what this process drives to others, or to nobody. */
export async function letGoOfBuilders(db: Knex, processId: number): Promise<void> {
  await db('builders')
    .where({ process_id: processId })
    .whereNot('kind', 'agent')
    .update({ process_id: null });
}
