/**
 * How long builds and evaluations took. The database is the only memory, and any process may end a
 * build, so each process that is asked counts what has ended anywhere since it was asked before:
 * counters begin at its start, as Prometheus expects, and tell of all servers. With several of them
 * behind one database take the largest, not the sum.
 */
import type { Knex } from 'knex';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { z } from 'zod';

/**
 * Seconds that an end has to lie back: it bears the time at which its transaction began, and is seen
 * when that is over.
 */
const defaultLagSeconds = 15;
/** Nobody asked for so long, in seconds: what ended before is not counted. */
const longestGapSeconds = 3600;

const seconds = z.number().nullable();
const ended = z.object({
  until: z.date(),
  builds: z.array(z.object({ state: z.string(), took: seconds, waited: seconds })),
  evaluations: z.array(z.object({ state: z.string(), took: seconds, verdict: seconds })),
});
const standing = z.object({
  oldest_build: z.number(),
  oldest_evaluation: z.number(),
  builders: z.array(z.object({ kind: z.string(), state: z.string(), count: z.number(), slots: z.number() })),
});

/** Adds them to the registry; they are brought up to date when it is read. */
export function registerWorkMetrics(
  registry: Registry,
  db: Knex,
  lagSeconds: number = defaultLagSeconds,
): void {
  const registers = [registry];
  const labelNames = ['state'] as const;
  const collect = upToDate(() => update());
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, labelNames, registers, collect });
  const finished = new Counter({
    name: 'ringmaster_builds_finished_total',
    help: 'Builds that ended, by how; those that never started are among them.',
    ...{ labelNames, registers, collect },
  });
  const buildSeconds = histogram(
    'ringmaster_build_duration_seconds',
    'Time from the start of a build to its end.',
    [1, 5, 15, 60, 300, 900, 3600, 14_400],
  );
  const waitSeconds = histogram(
    'ringmaster_build_wait_seconds',
    'Time from the wish for a build to its start: for its inputs, and for a builder.',
    [0.1, 1, 5, 30, 120, 600, 3600, 14_400],
  );
  const evaluationSeconds = histogram(
    'ringmaster_evaluation_duration_seconds',
    'Time from the start of an evaluation until all attributes were known.',
    [0.1, 1, 5, 15, 60, 300, 1800],
  );
  const verdictSeconds = histogram(
    'ringmaster_verdict_duration_seconds',
    'Time from the arrival of a commit to its verdict, builds included.',
    [1, 5, 30, 120, 600, 3600, 14_400],
  );
  const gauge = <Label extends string>(name: string, help: string, labels: readonly Label[]) =>
    new Gauge({ name, help, labelNames: labels, registers, collect });
  const oldestBuild = gauge(
    'ringmaster_builds_oldest_queued_seconds',
    'Age of the oldest build that is ready and not started.',
    [],
  );
  const oldestEvaluation = gauge(
    'ringmaster_evaluations_oldest_unfinished_seconds',
    'Age of the oldest evaluation that has no verdict.',
    [],
  );
  const builders = gauge('ringmaster_builders', 'Builders, by kind and how they are.', ['kind', 'state']);
  const slots = gauge('ringmaster_builder_slots', 'Builds that builders may have at the same time.', [
    'kind',
    'state',
  ]);

  const bornAt = performance.now();
  let since: Date | undefined;

  async function update(): Promise<void> {
    const sinceSeconds = Math.min((performance.now() - bornAt) / 1000 + lagSeconds, longestGapSeconds);
    const [found, now] = await Promise.all([
      readEnded(db, { since, sinceSeconds, lagSeconds }),
      readStanding(db),
    ]);
    since = found.until;
    for (const { state, took, waited } of found.builds) {
      finished.inc({ state });
      if (took !== null) buildSeconds.observe({ state }, took);
      if (waited !== null) waitSeconds.observe({ state }, waited);
    }
    for (const { state, took, verdict } of found.evaluations) {
      if (took !== null) evaluationSeconds.observe({ state }, took);
      if (verdict !== null) verdictSeconds.observe({ state }, verdict);
    }
    oldestBuild.set(now.oldest_build);
    oldestEvaluation.set(now.oldest_evaluation);
    builders.reset();
    slots.reset();
    for (const { kind, state, count, slots: most } of now.builders) {
      builders.set({ kind, state }, count);
      slots.set({ kind, state }, most);
    }
  }
}

/** All metrics of one reading share one update: whoever comes while it goes on waits for it. */
function upToDate(update: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= update().finally(() => {
      running = undefined;
    });
    return running;
  };
}

interface Stretch {
  /** Until when was counted before; undefined the first time: then so many seconds back. */
  readonly since: Date | undefined;
  readonly sinceSeconds: number;
  readonly lagSeconds: number;
}

async function readEnded(db: Knex, { since, sinceSeconds, lagSeconds }: Stretch) {
  const result: unknown = await db.raw(
    // Milliseconds are what a Date holds: the end of one stretch has to be the beginning of the next.
    `WITH stretch AS (
       SELECT until, greatest(coalesce(CAST(:since AS timestamptz), until - make_interval(secs => :sinceSeconds)),
                              until - make_interval(secs => ${longestGapSeconds})) AS since
       FROM (SELECT date_trunc('milliseconds', now() - make_interval(secs => :lagSeconds)) AS until) clock)
     SELECT until,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('state', b.state,
           'took', extract(epoch FROM b.finished_at - b.started_at),
           'waited', extract(epoch FROM b.started_at - b.created_at))), '[]')
        FROM builds b WHERE b.finished_at > since AND b.finished_at <= until) AS builds,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('state', e.state,
           'took', extract(epoch FROM coalesce(e.evaluated_at, e.finished_at) - e.started_at),
           'verdict', extract(epoch FROM e.finished_at - e.queued_at))), '[]')
        FROM evaluations e WHERE e.finished_at > since AND e.finished_at <= until) AS evaluations
     FROM stretch`,
    { since: since?.toISOString() ?? null, sinceSeconds, lagSeconds },
  );
  return onlyRow(ended, result);
}

async function readStanding(db: Knex) {
  const result: unknown = await db.raw(
    `SELECT
       (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM builds
        WHERE state = 'queued') AS oldest_build,
       (SELECT coalesce(extract(epoch FROM now() - min(queued_at)), 0)::float8 FROM evaluations
        WHERE finished_at IS NULL) AS oldest_evaluation,
       (SELECT coalesce(jsonb_agg(to_jsonb(b)), '[]') FROM (
          SELECT kind, CASE WHEN NOT enabled THEN 'disabled' WHEN process_id IS NULL THEN 'away'
              WHEN draining THEN 'draining' WHEN disabled_until > now() THEN 'resting' ELSE 'ready' END AS state,
            count(*) AS count, sum(slots) AS slots FROM builders GROUP BY 1, 2) b) AS builders`,
  );
  return onlyRow(standing, result);
}

function onlyRow<S extends z.ZodType>(row: S, result: unknown): z.infer<S> {
  return row.parse(z.object({ rows: z.array(z.unknown()).length(1) }).parse(result).rows[0]);
}
