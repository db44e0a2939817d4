import { z } from 'zod';
import { type Reader, readRows } from './reader.ts';

/** In the order in which people want to see them. */
export const jobGroups = ['bad', 'running', 'queued', 'stopped', 'allowed', 'good'] as const;
export type JobGroup = (typeof jobGroups)[number];
export type JobCounts = Readonly<Record<JobGroup, number>>;

export const noJobs: JobCounts = { bad: 0, running: 0, queued: 0, stopped: 0, allowed: 0, good: 0 };

/**
 * The group of a job, in SQL over jobs j, its evaluation e and its build b.
 * Marks turn outcomes: a `must-fail` job is good when it fails, a `may-fail` one fails nothing.
 */
export const jobGroupSql = `CASE
  WHEN j.error IS NOT NULL THEN 'bad'
  WHEN j.cached OR b.state = 'succeeded' THEN CASE WHEN j.mark = 'must-fail' THEN 'bad' ELSE 'good' END
  WHEN b.state = 'building' THEN 'running'
  WHEN b.state = 'cancelled' OR (b.id IS NULL AND e.finished_at IS NOT NULL) THEN 'stopped'
  WHEN b.id IS NULL OR b.state IN ('blocked', 'queued') THEN 'queued'
  WHEN j.mark = 'must-fail' THEN 'good'
  WHEN j.mark = 'may-fail' THEN 'allowed'
  ELSE 'bad' END`;

const countShape = z.object({ evaluation_id: z.number(), job_group: z.enum(jobGroups), number: z.number() });

/**
 * Finished evaluations never change again once their builds have ended, which others may still want after a
 * cancellation; so their counts are remembered, up to so many.
 */
const rememberedEvaluations = 10_000;
const remembered = new WeakMap<Reader, Map<number, JobCounts>>();

/** Jobs by group of each of these evaluations. */
export async function countJobs(
  reader: Reader,
  evaluations: readonly { readonly id: number; readonly finished_at: Date | null }[],
): Promise<ReadonlyMap<number, JobCounts>> {
  const memory = remembered.get(reader) ?? new Map<number, JobCounts>();
  remembered.set(reader, memory);
  const unknown = evaluations.filter(({ id }) => !memory.has(id));
  const counts = new Map<number, JobCounts>(
    evaluations.map(({ id }) => [id, memory.get(id) ?? { ...noJobs }]),
  );
  if (unknown.length === 0) return counts;
  const rows = await readRows(
    reader,
    countShape,
    `SELECT j.evaluation_id, ${jobGroupSql} AS job_group, count(*) AS number
     FROM jobs j JOIN evaluations e ON e.id = j.evaluation_id LEFT JOIN builds b ON b.id = j.build_id
     WHERE j.evaluation_id = ANY(:ids) GROUP BY 1, 2`,
    { ids: unknown.map(({ id }) => id) },
  );
  for (const row of rows) {
    counts.set(row.evaluation_id, {
      ...(counts.get(row.evaluation_id) ?? noJobs),
      [row.job_group]: row.number,
    });
  }
  for (const { id, finished_at } of unknown) {
    if (memory.size >= rememberedEvaluations) memory.clear();
    const found = counts.get(id) ?? noJobs;
    if (finished_at && found.running + found.queued === 0) memory.set(id, found);
  }
  return counts;
}

/** All jobs of an evaluation. */
export function totalJobs(counts: JobCounts): number {
  return jobGroups.reduce((sum, group) => sum + counts[group], 0);
}
