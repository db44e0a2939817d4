/** The places that were found in logs, as the database keeps them. */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { Place } from './match.ts';

const place: z.ZodType<Place> = z.object({
  path: z.string(),
  line: z.number(),
  column: z.number().exactOptional(),
  message: z.string(),
  level: z.enum(['failure', 'warning']),
});

const row = z.object({ attempt_id: z.number(), places: z.array(place).catch([]) });

/** By attempt; of those where nobody has looked there is none. */
export async function placesByAttempt(
  db: Knex,
  revisionId: number,
): Promise<ReadonlyMap<number, readonly Place[]>> {
  const rows: unknown = await db('build_places')
    .select('attempt_id', 'places')
    .where({ revision_id: revisionId });
  return new Map(
    z
      .array(row)
      .parse(rows)
      .map(({ attempt_id, places }) => [attempt_id, places]),
  );
}
