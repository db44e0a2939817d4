/**
 * What operators graph and alert on. Labels are bounded: never attributes, projects or branches.
 */
import type { Knex } from 'knex';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { z } from 'zod';
import { countTasks } from '../postgres/index.ts';
import { registerWorkMetrics } from './work-metrics.ts';

const stateCounts = z.object({ rows: z.array(z.object({ state: z.string(), count: z.number() })) });
const unsentRow = z.object({ rows: z.array(z.object({ unsent: z.number(), given_up: z.number() })) });

/** The registry behind `/metrics`. Queue gauges are read from the database at the scrape. */
export function createMetrics(db: Knex): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  registerWorkMetrics(registry, db);
  gaugeByState(registry, db, {
    name: 'ringmaster_evaluations_unfinished',
    help: 'Evaluations that have not ended, by state.',
    sql: 'SELECT state, count(*) FROM evaluations WHERE finished_at IS NULL GROUP BY state',
    states: ['queued', 'evaluating', 'building'],
  });
  gaugeByState(registry, db, {
    name: 'ringmaster_builds_unfinished',
    help: 'Builds that have not ended, by state.',
    sql: 'SELECT state, count(*) FROM builds WHERE finished_at IS NULL GROUP BY state',
    states: ['blocked', 'queued', 'building'],
  });
  new Gauge({
    name: 'ringmaster_reports_unsent',
    help: 'Check runs and statuses that GitHub does not show as they are.',
    registers: [registry],
    async collect() {
      const result: unknown = await db.raw(
        `SELECT count(*) FILTER (WHERE NOT given_up) AS unsent, count(*) FILTER (WHERE given_up) AS given_up
         FROM reports WHERE sent_version < version`,
      );
      this.set(unsentRow.parse(result).rows[0]?.unsent ?? 0);
    },
  });
  new Gauge({
    name: 'ringmaster_tasks',
    help: 'Background tasks that wait or run, and those that failed for good.',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      const { pending, failed } = await countTasks(db);
      this.set({ state: 'pending' }, pending);
      this.set({ state: 'failed' }, failed);
    },
  });
  return registry;
}

interface StateGauge {
  readonly name: string;
  readonly help: string;
  /** Yields `state` and `count`. */
  readonly sql: string;
  readonly states: readonly string[];
}

function gaugeByState(registry: Registry, db: Knex, { name, help, sql, states }: StateGauge): void {
  new Gauge({
    name,
    help,
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      const { rows } = stateCounts.parse(await db.raw(sql));
      const counts = new Map(rows.map((row) => [row.state, row.count]));
      for (const state of states) this.set({ state }, counts.get(state) ?? 0);
    },
  });
}
