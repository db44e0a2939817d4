/**
 * Checks: builds that succeeded are built once more, to see whether the same comes out.
 *
 *     waiting <──> under way (an attempt of it runs) ──> finished, with an outcome
 *
 * What is found stands beside the build and changes neither it nor what hangs on it. Checks wait for
 * slots that no build wants.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { buildsChannel, cancelChannel } from '../channels.ts';

export type AskedCheck =
  | { readonly kind: 'asked'; readonly checkId: number }
  /** One is waiting or under way. */
  | { readonly kind: 'asked-before'; readonly checkId: number }
  | { readonly kind: 'unknown' | 'unfinished' | 'bad-end' | 'nothing-to-compare' };

const buildRow = z.object({
  state: z.string(),
  finished_at: z.date().nullable(),
  inputs_only: z.boolean(),
  outputs: z.record(z.string(), z.string().nullable()),
});
const idRows = z.array(z.object({ id: z.number() }));

/** Asks for a check of a build; `askedBy` is for people. */
export async function askForCheck(
  trx: Knex.Transaction,
  buildId: number,
  askedBy: string,
): Promise<AskedCheck> {
  const found: unknown = await trx('builds')
    .select('state', 'finished_at', 'inputs_only', 'outputs')
    .where({ id: buildId })
    .first();
  if (found === undefined) return { kind: 'unknown' };
  const build = buildRow.parse(found);
  if (build.finished_at === null) return { kind: 'unfinished' };
  if (build.state !== 'succeeded') return { kind: 'bad-end' };
  // Paths that are known only afterwards are known to the store alone that built them.
  if (build.inputs_only || Object.values(build.outputs).includes(null)) return { kind: 'nothing-to-compare' };
  const written: unknown = await trx('build_checks')
    .insert({ build_id: buildId, asked_by: askedBy })
    .onConflict(trx.raw('(build_id) WHERE finished_at IS NULL'))
    .ignore()
    .returning('id');
  const [fresh] = idRows.parse(written);
  if (fresh) {
    await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
    return { kind: 'asked', checkId: fresh.id };
  }
  const before: unknown = await trx('build_checks')
    .select('id')
    .where({ build_id: buildId })
    .orderBy('id', 'desc')
    .limit(1);
  return { kind: 'asked-before', checkId: idRows.parse(before)[0]?.id ?? 0 };
}

/** Why a build cannot be checked, for people. */
export const checkRefusals = {
  unfinished: 'The build is not over yet.',
  'bad-end': 'The build has no outputs to compare with.',
  'nothing-to-compare': 'The paths of its outputs are known only after it was built, or it has none.',
} as const;

/**
 * Asks for checks of a share of builds that have just been built, in per cent. Downloads are left
 * out: what they bring is fixed by its hash.
 */
export async function askForSamples(
  trx: Knex.Transaction,
  buildIds: readonly number[],
  percent: number,
): Promise<void> {
  if (percent === 0 || buildIds.length === 0) return;
  await trx.raw(
    `INSERT INTO build_checks (build_id, asked_by)
     SELECT id, 'the server' FROM builds
     WHERE id = ANY (:buildIds) AND state = 'succeeded' AND NOT inputs_only AND NOT fixed_output
       AND NOT EXISTS (SELECT 1 FROM jsonb_each(outputs) o WHERE o.value = 'null') AND random() * 100 < :percent
     ORDER BY id ON CONFLICT (build_id) WHERE finished_at IS NULL DO NOTHING`,
    { buildIds: [...buildIds], percent },
  );
}

/** Ends what waits or runs of the checks of a build; false when there was none. */
export async function cancelCheck(trx: Knex.Transaction, buildId: number): Promise<boolean> {
  const ended = await trx('build_checks')
    .where({ build_id: buildId })
    .whereNull('finished_at')
    .update({ outcome: 'cancelled', finished_at: trx.fn.now() });
  // Who runs it finds that it is over.
  if (ended > 0) await trx.raw('SELECT pg_notify(?, ?)', [cancelChannel, '']);
  return ended > 0;
}
