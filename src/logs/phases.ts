import type { Knex } from 'knex';
import { z } from 'zod';

/** The beginning of a phase in a log. */
export interface LogPhase {
  readonly attemptId: number;
  readonly name: string;
  /** Number of the first line after it, from 0. */
  readonly line: number;
  /** Offset of that line's first byte. */
  readonly position: number;
}

const row = z.object({ attempt_id: z.number(), name: z.string(), line: z.number(), position: z.number() });
/** A build may set its phase as often as it likes. */
const most = 1_000;

/** The phases of some attempts, in their order. */
export async function readPhases(db: Knex, attemptIds: readonly number[]): Promise<readonly LogPhase[]> {
  if (attemptIds.length === 0) return [];
  const rows: unknown = await db('log_phases')
    .select('attempt_id', 'name', 'line', 'position')
    .whereIn('attempt_id', [...attemptIds])
    .orderBy(['attempt_id', 'position'])
    .limit(most);
  return z
    .array(row)
    .parse(rows)
    .map(({ attempt_id: attemptId, ...phase }) => ({ attemptId, ...phase }));
}
