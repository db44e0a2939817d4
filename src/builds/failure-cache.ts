/**
 * Failures that are known. A derivation that failed by itself fails again, so a new wish for it ends
 * at once with the same state, until some time has passed or somebody asks for another try.
 *
 * Known from the finished builds themselves; nothing has to be remembered besides what was forgotten.
 * Never known: what was cancelled, trouble of machines, failures of inputs (those of the input are),
 * missing builders, and plain failures of downloads, for which the network may be to blame.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { failDependentsOf } from './finish.ts';
import { stateWords } from './states.ts';

/** Ends that say of a derivation that it will end so again. */
export const lastingFailures = [
  'failed',
  'timed-out',
  'silent-timeout',
  'log-limit',
  'output-mismatch',
  'non-deterministic',
] as const;

const knownFailure = z.object({
  drv_path: z.string(),
  id: z.number(),
  state: z.enum(lastingFailures),
  message: z.string(),
  finished_at: z.date(),
});

export interface KnownFailure {
  /** The build that was really tried. */
  readonly buildId: number;
  readonly state: (typeof lastingFailures)[number];
  /** Nix's words of then. */
  readonly message: string;
  readonly failedAt: Date;
}

export interface FailuresOptions {
  /** Seconds for which a failure stands for new wishes; 0: it never does. */
  readonly ttlSeconds: number;
  readonly trustDomain?: string;
}

/** Those of the derivations that are known to fail. One statement. */
export async function failuresKnown(
  db: Knex,
  drvPaths: readonly string[],
  { ttlSeconds, trustDomain = 'trusted' }: FailuresOptions,
): Promise<ReadonlyMap<string, KnownFailure>> {
  if (ttlSeconds === 0 || drvPaths.length === 0) return new Map();
  // The newest real try decides. An attempt of the same status tells a failure of the build's own
  // from one that machines caused again and again.
  const result: unknown = await db.raw(
    `SELECT b.* FROM unnest(:paths::text[]) AS w (drv_path)
     CROSS JOIN LATERAL (
       SELECT b.drv_path, b.id, b.state, b.message, b.finished_at, b.fixed_output FROM builds b
       WHERE b.drv_path = w.drv_path AND b.trust_domain = :trustDomain AND NOT b.inputs_only
         AND b.cached_failure_of IS NULL
         AND EXISTS (SELECT 1 FROM attempts a WHERE a.build_id = b.id
                     AND (a.status = b.state OR b.state = 'succeeded'))
       ORDER BY b.id DESC LIMIT 1) b
     LEFT JOIN forgotten_failures f ON f.drv_path = w.drv_path AND f.trust_domain = :trustDomain
     WHERE b.state = ANY (:states) AND NOT (b.fixed_output AND b.state <> 'output-mismatch')
       AND b.finished_at > now() - make_interval(secs => :ttl)
       AND (f.forgotten_at IS NULL OR b.finished_at > f.forgotten_at)`,
    { paths: [...drvPaths], trustDomain, states: [...lastingFailures], ttl: ttlSeconds },
  );
  const { rows } = z.object({ rows: z.array(knownFailure) }).parse(result);
  return new Map(
    rows.map((row) => [
      row.drv_path,
      { buildId: row.id, state: row.state, message: row.message, failedAt: row.finished_at },
    ]),
  );
}

/**
 * Ends those of the new builds that are known to fail, and what depends on them. Called while the
 * graph is being planned, after the edges were written. Statements do not grow with the builds, but
 * for the known failures that others wait for.
 */
export async function endKnownFailures(
  trx: Knex.Transaction,
  builds: ReadonlyMap<string, number>,
  options: FailuresOptions,
): Promise<void> {
  const known = await failuresKnown(trx, [...builds.keys()], options);
  if (known.size === 0) return;
  const ends = [...known].flatMap(([drvPath, failure]) => {
    const id = builds.get(drvPath);
    return id === undefined ? [] : [{ id, failure }];
  });
  await trx.raw(
    `UPDATE builds b SET state = k.state, message = k.message, cached_failure_of = k.first,
            specified_hash = o.specified_hash, got_hash = o.got_hash, finished_at = now()
     FROM unnest(?::bigint[], ?::text[], ?::text[], ?::bigint[]) AS k (id, state, message, first)
     JOIN builds o ON o.id = k.first
     WHERE b.id = k.id AND b.finished_at IS NULL`,
    [
      ends.map(({ id }) => id),
      ends.map(({ failure }) => failure.state),
      ends.map(({ failure }) => messageOfKnown(failure)),
      ends.map(({ failure }) => failure.buildId),
    ],
  );
  await failDependentsOf(
    trx,
    ends.map(({ id }) => id),
  );
}

function messageOfKnown({ state, message, failedAt, buildId }: KnownFailure): string {
  const when = `${failedAt.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  const note = `Not tried again: known from build ${buildId}, which ended as '${stateWords[state]}' at ${when}.`;
  return message === '' ? note : `${message}\n${note}`;
}

/** Lets the derivations be tried again. Safe to repeat. */
export async function forgetFailures(
  trx: Knex,
  drvPaths: readonly string[],
  trustDomain = 'trusted',
): Promise<void> {
  if (drvPaths.length === 0) return;
  await trx.raw(
    `INSERT INTO forgotten_failures (trust_domain, drv_path)
     SELECT :trustDomain, d FROM unnest(:paths::text[]) AS d GROUP BY d ORDER BY d
     ON CONFLICT (trust_domain, drv_path) DO UPDATE SET forgotten_at = now()`,
    { trustDomain, paths: [...drvPaths] },
  );
}
