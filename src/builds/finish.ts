/**
 * The end of a build and what follows from it for the builds that need it.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { FinishedState } from './states.ts';

export interface BuildEnd {
  readonly buildId: number;
  readonly state: FinishedState;
  /** Nix's or our words for a bad end; empty for a good one. */
  readonly message: string;
}

export interface BuildsEnded {
  /** All builds that ended, those that ended with others included. */
  readonly ended: readonly number[];
  /** How many builds became ready. */
  readonly ready: number;
}

const idRows = z.object({ rows: z.array(z.object({ id: z.number() })) });

/**
 * Ends builds: a good end releases the builds that waited for it alone, a bad one ends all that
 * depend on it, however far away, as `dependency-failed` naming the culprit. A build that has ended
 * before stays as it is. The statements are as many for a thousand builds as for one.
 *
 * The caller's transaction holds the graph lock, for planning or for finishing. All rows that change
 * are locked first, in the order of their ids: builds that end at the same time share dependents.
 * `alsoLock` are builds that the caller is going to change.
 */
export async function finishBuilds(
  trx: Knex.Transaction,
  ends: readonly BuildEnd[],
  alsoLock: readonly number[] = [],
): Promise<BuildsEnded> {
  const edges = await edgesFrom(
    trx,
    ends.map((end) => end.buildId),
  );
  const good = new Set(ends.filter((end) => end.state === 'succeeded').map((end) => end.buildId));
  const doomed = await doomedBy(
    trx,
    edges.filter((edge) => !good.has(edge.input)).map((edge) => edge.input),
  );
  await lockBuilds(trx, [
    ...ends.map((end) => end.buildId),
    ...edges.map((edge) => edge.build),
    ...doomed.map((build) => build.id),
    ...alsoLock,
  ]);
  const ended = new Set(await endBuilds(trx, ends));
  const released = await release(
    trx,
    edges.filter((edge) => ended.has(edge.input) && good.has(edge.input)).map((edge) => edge.build),
  );
  const failed = await failWith(
    trx,
    doomed.filter((build) => ended.has(build.culprit)),
  );
  return { ended: [...ended, ...released.ended, ...failed], ready: released.ready };
}

interface Edge {
  readonly build: number;
  readonly input: number;
}

async function edgesFrom(trx: Knex.Transaction, inputs: readonly number[]): Promise<readonly Edge[]> {
  if (inputs.length === 0) return [];
  const result: unknown = await trx.raw(
    'SELECT build_id AS build, input_build_id AS input FROM build_inputs WHERE input_build_id = ANY (?)',
    [[...inputs]],
  );
  const row = z.object({ build: z.number(), input: z.number() });
  return z.object({ rows: z.array(row) }).parse(result).rows;
}

interface Doomed {
  readonly id: number;
  readonly culprit: number;
}

/** All that depends on the given builds, near and far, each with one of them that it depends on. */
async function doomedBy(trx: Knex.Transaction, culprits: readonly number[]): Promise<readonly Doomed[]> {
  if (culprits.length === 0) return [];
  const result: unknown = await trx.raw(
    `WITH RECURSIVE doomed (id, culprit) AS (
       SELECT build_id, input_build_id FROM build_inputs WHERE input_build_id = ANY (?)
       UNION
       SELECT e.build_id, d.culprit FROM doomed d JOIN build_inputs e ON e.input_build_id = d.id
     )
     SELECT id, min(culprit) AS culprit FROM doomed GROUP BY id`,
    [[...new Set(culprits)]],
  );
  const row = z.object({ id: z.number(), culprit: z.number() });
  return z.object({ rows: z.array(row) }).parse(result).rows;
}

async function lockBuilds(trx: Knex.Transaction, buildIds: readonly number[]): Promise<void> {
  if (buildIds.length === 0) return;
  await trx.raw(
    'SELECT FROM builds WHERE id = ANY (?) AND finished_at IS NULL ORDER BY id FOR NO KEY UPDATE',
    [[...new Set(buildIds)]],
  );
}

/** Returns those that had not ended before. */
async function endBuilds(trx: Knex.Transaction, ends: readonly BuildEnd[]): Promise<readonly number[]> {
  if (ends.length === 0) return [];
  const result: unknown = await trx.raw(
    `UPDATE builds b SET state = e.state, message = e.message, finished_at = now()
     FROM unnest(?::bigint[], ?::text[], ?::text[]) AS e (id, state, message)
     WHERE b.id = e.id AND b.finished_at IS NULL RETURNING b.id`,
    [ends.map((end) => end.buildId), ends.map((end) => end.state), ends.map((end) => end.message)],
  );
  return idRows.parse(result).rows.map((row) => row.id);
}

/**
 * Takes one from what each of the builds waits for, for every time it is named. Those that end with
 * it wanted nothing but their inputs.
 */
async function release(trx: Knex.Transaction, waiting: readonly number[]): Promise<BuildsEnded> {
  if (waiting.length === 0) return { ended: [], ready: 0 };
  const result: unknown = await trx.raw(
    `UPDATE builds b SET pending_inputs = pending_inputs - w.count,
            state = CASE WHEN pending_inputs > w.count THEN state WHEN inputs_only THEN 'succeeded' ELSE 'queued' END,
            finished_at = CASE WHEN pending_inputs <= w.count AND inputs_only THEN now() END
     FROM (SELECT id, count(*)::int AS count FROM unnest(?::bigint[]) AS u (id) GROUP BY id) w
     WHERE b.id = w.id AND b.state = 'blocked'
     RETURNING b.id, b.state`,
    [[...waiting]],
  );
  const row = z.object({ id: z.number(), state: z.string() });
  const { rows } = z.object({ rows: z.array(row) }).parse(result);
  return {
    ended: rows.filter(({ state }) => state === 'succeeded').map(({ id }) => id),
    ready: rows.filter(({ state }) => state === 'queued').length,
  };
}

async function failWith(trx: Knex.Transaction, doomed: readonly Doomed[]): Promise<readonly number[]> {
  if (doomed.length === 0) return [];
  const result: unknown = await trx.raw(
    `UPDATE builds b SET state = 'dependency-failed', culprit_build_id = k.id, finished_at = now(),
            message = 'The dependency ' || k.name || ' did not build.'
     FROM unnest(?::bigint[], ?::bigint[]) AS d (id, culprit) JOIN builds k ON k.id = d.culprit
     WHERE b.id = d.id AND b.finished_at IS NULL RETURNING b.id`,
    [doomed.map((build) => build.id), doomed.map((build) => build.culprit)],
  );
  return idRows.parse(result).rows.map((row) => row.id);
}

/**
 * Ends builds that nobody can build, each with its own message, and what depends on them: a big
 * repository has thousands of jobs for systems that a server does not have.
 */
export async function refuseBuilds(
  trx: Knex.Transaction,
  messages: ReadonlyMap<number, string>,
): Promise<void> {
  if (messages.size === 0) return;
  const ids = [...messages.keys()];
  await trx.raw(
    `UPDATE builds b SET state = 'unsupported-system', message = m.message, finished_at = now()
     FROM unnest(?::bigint[], ?::text[]) AS m (id, message) WHERE b.id = m.id AND b.finished_at IS NULL`,
    [ids, [...messages.values()]],
  );
  await failDependentsOf(trx, ids);
}

/** Ends what depends on builds that ended badly. */
export async function failDependentsOf(trx: Knex.Transaction, buildIds: readonly number[]): Promise<void> {
  const doomed = await doomedBy(trx, buildIds);
  await lockBuilds(
    trx,
    doomed.map((build) => build.id),
  );
  await failWith(trx, doomed);
}
