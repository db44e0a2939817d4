/** Builds whose results are kept until somebody lets them go: neither history nor collections take them. */
import type { Knex } from 'knex';
import { z } from 'zod';

export type Keeping = 'kept' | 'kept-before' | 'unknown' | 'unfinished' | 'bad-end' | 'nothing-to-keep';

const buildRow = z.object({
  state: z.string(),
  finished_at: z.date().nullable(),
  inputs_only: z.boolean(),
  outputs: z.record(z.string(), z.string().nullable()),
});

/** Keeps the results of a build that succeeded; `by` is for people. They have roots within a minute. */
export async function keepBuild(trx: Knex.Transaction, buildId: number, by: string): Promise<Keeping> {
  // Held, so that history does not remove it meanwhile.
  const found: unknown = await trx('builds')
    .select('state', 'finished_at', 'inputs_only', 'outputs')
    .where({ id: buildId })
    .forKeyShare()
    .first();
  if (found === undefined) return 'unknown';
  const build = buildRow.parse(found);
  if (build.finished_at === null) return 'unfinished';
  if (build.state !== 'succeeded') return 'bad-end';
  const paths = Object.values(build.outputs).filter((path) => path !== null);
  if (build.inputs_only || paths.length === 0) return 'nothing-to-keep';
  const written: unknown[] = await trx('kept_builds')
    .insert({ build_id: buildId, kept_by: by })
    .onConflict('build_id')
    .ignore()
    .returning('build_id');
  return written.length > 0 ? 'kept' : 'kept-before';
}

/** Lets go what was kept; false when it was not. It stays as long as a branch has it. */
export async function letGoOfBuild(db: Knex, buildId: number): Promise<boolean> {
  return (await db('kept_builds').where({ build_id: buildId }).delete()) > 0;
}

/** Since when a build is kept, if it is. */
export async function keptSince(db: Knex, buildId: number): Promise<Date | undefined> {
  const found: unknown = await db('kept_builds').select('kept_at').where({ build_id: buildId }).first();
  return found === undefined ? undefined : z.object({ kept_at: z.date() }).parse(found).kept_at;
}

/** Why a build cannot be kept, for people. */
export const keepRefusals = {
  unknown: 'there is no such build',
  unfinished: 'it is not over yet',
  'bad-end': 'it did not succeed, so that there is nothing to keep',
  'nothing-to-keep': 'it has no results of its own, or their paths are not known here',
} as const satisfies Partial<Record<Keeping, string>>;
