/** How long builds are expected to take: what those of the same name and system took before. */
import type { Knex } from 'knex';
import { z } from 'zod';

/** Milliseconds, for a build of which nothing is known. */
export const unknownDurationMs = 10_000;

interface Named {
  readonly name: string;
  readonly system: string;
}

/** Milliseconds for each of these. One statement. */
export async function expectedDurations(
  db: Knex,
  builds: readonly Named[],
): Promise<(build: Named) => number> {
  if (builds.length === 0) return () => unknownDurationMs;
  const result: unknown = await db.raw(
    `SELECT name, system, mean_ms FROM build_durations
     WHERE (name, system) IN (SELECT * FROM unnest(?::text[], ?::text[]))`,
    [builds.map(({ name }) => name), builds.map(({ system }) => system)],
  );
  const { rows } = z
    .object({ rows: z.array(z.object({ name: z.string(), system: z.string(), mean_ms: z.number() })) })
    .parse(result);
  const known = new Map(rows.map((row) => [`${row.system} ${row.name}`, row.mean_ms]));
  return ({ name, system }) => known.get(`${system} ${name}`) ?? unknownDurationMs;
}
