/** Checks of builds, for people and programs. */
import type { Knex } from 'knex';
import { z } from 'zod';

/** How a check stands: where it is, or its outcome. */
export const checkStates = [
  'waiting',
  'building',
  'reproduced',
  'not-possible',
  'cancelled',
  'non-deterministic',
  'failed',
  'dependency-failed',
  'timed-out',
  'silent-timeout',
  'log-limit',
  'output-mismatch',
  'unsupported-system',
] as const;
export type CheckState = (typeof checkStates)[number];

/** The words people read. */
export const checkWords = {
  waiting: 'waits for a free builder',
  building: 'builds again',
  reproduced: 'the same came out',
  'not-possible': 'could not be built again',
  cancelled: 'cancelled',
  'non-deterministic': 'not deterministic: something else came out',
  failed: 'failed the second time',
  'dependency-failed': 'its dependencies could not be built again',
  'timed-out': 'timed out the second time',
  'silent-timeout': 'timed out the second time (no output)',
  'log-limit': 'printed too much the second time',
  'output-mismatch': 'what it downloads has another hash now',
  'unsupported-system': 'no builder for its system',
} as const satisfies Record<CheckState, string>;

const time = z.date().transform((date) => date.toISOString());
const row = z.object({
  id: z.number(),
  state: z.enum(checkStates),
  message: z.string(),
  askedBy: z.string(),
  builder: z.string().nullable(),
  attemptId: z.number().nullable(),
  createdAt: time,
  finishedAt: time.nullable(),
});
export type CheckRecord = z.infer<typeof row>;

/** The checks of a build, the newest first, with their newest attempts. */
export async function listChecks(db: Knex, buildId: number): Promise<readonly CheckRecord[]> {
  const found: unknown = await db('build_checks as c')
    .joinRaw(
      `LEFT JOIN LATERAL (SELECT id, builder, state FROM attempts WHERE check_id = c.id
                          ORDER BY id DESC LIMIT 1) a ON true`,
    )
    .select({
      id: 'c.id',
      message: 'c.message',
      askedBy: 'c.asked_by',
      builder: 'a.builder',
      attemptId: 'a.id',
      createdAt: 'c.created_at',
      finishedAt: 'c.finished_at',
    })
    .select(
      db.raw(
        `coalesce(c.outcome, CASE WHEN a.state = 'running' THEN 'building' ELSE 'waiting' END) AS state`,
      ),
    )
    .where({ 'c.build_id': buildId })
    .orderBy('c.id', 'desc')
    .limit(20);
  return z.array(row).parse(found);
}
