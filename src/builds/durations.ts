/** How long builds took: running means by name and system, from which the next ones are expected. */
import type { Knex } from 'knex';

export interface BuildDuration {
  readonly buildId: number;
  readonly milliseconds: number;
}

/** Newer samples count for at least this share, so that means follow what changes. */
const leastShare = 0.2;

/** Adds what builds took to the means. Two statements at most, however many they are. */
export async function rememberDurations(
  trx: Knex.Transaction,
  durations: readonly BuildDuration[],
): Promise<void> {
  if (durations.length === 0) return;
  await trx.raw(
    `INSERT INTO build_durations AS d (name, system, mean_ms, samples)
     SELECT b.name, b.system, avg(t.ms), count(*)
     FROM unnest(?::bigint[], ?::float8[]) AS t (id, ms) JOIN builds b ON b.id = t.id
     GROUP BY b.name, b.system ORDER BY b.name, b.system
     ON CONFLICT (name, system) DO UPDATE SET
       mean_ms = d.mean_ms + (excluded.mean_ms - d.mean_ms)
                 * greatest(?::float8, excluded.samples / (d.samples + excluded.samples)::float8),
       samples = d.samples + excluded.samples, updated_at = now()`,
    [
      durations.map(({ buildId }) => buildId),
      durations.map(({ milliseconds }) => Math.max(0, milliseconds)),
      leastShare,
    ],
  );
}
