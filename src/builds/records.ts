/** Builds as operators see them: all of them, whoever wants them. Names of fields are stable. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type CheckRecord, listChecks } from './checks/index.ts';
import { type BuildState, finishedStates, unfinishedStates } from './states.ts';

export const buildStates = [...unfinishedStates, ...finishedStates] as const satisfies readonly BuildState[];

const time = z.date().transform((date) => date.toISOString());
const row = z.object({
  id: z.number(),
  name: z.string(),
  drvPath: z.string(),
  system: z.string(),
  state: z.enum(buildStates),
  message: z.string(),
  priority: z.number(),
  culpritBuildId: z.number().nullable(),
  cachedFailureOf: z.number().nullable(),
  specifiedHash: z.string().nullable(),
  gotHash: z.string().nullable(),
  cancelRequestedAt: time.nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  keptAt: time.nullable(),
});
export type BuildRecord = z.infer<typeof row>;

const columns = {
  id: 'id',
  name: 'name',
  drvPath: 'drv_path',
  system: 'system',
  state: 'state',
  message: 'message',
  priority: 'priority',
  culpritBuildId: 'culprit_build_id',
  cachedFailureOf: 'cached_failure_of',
  specifiedHash: 'specified_hash',
  gotHash: 'got_hash',
  cancelRequestedAt: 'cancel_requested_at',
  createdAt: 'created_at',
  startedAt: 'started_at',
  finishedAt: 'finished_at',
};

const kept = '(SELECT k.kept_at FROM kept_builds k WHERE k.build_id = builds.id) AS "keptAt"';

/** The newest builds, of one state or of all, all or those that are kept. */
export async function listBuildRecords(
  db: Knex,
  {
    state,
    onlyKept,
    limit,
  }: { readonly state?: BuildState; readonly onlyKept?: boolean; readonly limit: number },
): Promise<readonly BuildRecord[]> {
  const query = db('builds').select(columns).select(db.raw(kept)).orderBy('id', 'desc').limit(limit);
  if (onlyKept) query.whereIn('id', db('kept_builds').select('build_id'));
  return z.array(row).parse(await (state === undefined ? query : query.where({ state })));
}

const attemptRow = z.object({
  id: z.number(),
  /** It was built again only for that check. */
  checkId: z.number().nullable(),
  builder: z.string(),
  state: z.enum(['running', 'ended', 'lost']),
  status: z.string().nullable(),
  message: z.string(),
  startedAt: time,
  finishedAt: time.nullable(),
  logBytes: z.number(),
});
export type AttemptRecord = z.infer<typeof attemptRow>;

export type BuildWithAttempts = BuildRecord & {
  /** The newest first, those of checks behind them. */
  readonly attempts: readonly AttemptRecord[];
  readonly checks: readonly CheckRecord[];
};

/** One build with what was tried. */
export async function findBuildRecord(db: Knex, id: number): Promise<BuildWithAttempts | undefined> {
  const found: unknown = await db('builds').select(columns).select(db.raw(kept)).where({ id }).first();
  if (found === undefined) return undefined;
  const attempts: unknown = await db('attempts')
    .select({
      id: 'id',
      checkId: 'check_id',
      builder: 'builder',
      state: 'state',
      status: 'status',
      message: 'message',
      startedAt: 'started_at',
      finishedAt: 'finished_at',
      logBytes: 'log_bytes',
    })
    .where({ build_id: id })
    .orderByRaw('check_id IS NOT NULL, id DESC');
  const checks = await listChecks(db, id);
  return { ...row.parse(found), attempts: z.array(attemptRow).parse(attempts), checks };
}
