/** How many attributes are in which phase, in numbers and in words. */
import type { JobCounts, ReportFacts } from '../facts.ts';
import { type JudgedJob, type Phase, phases } from './verdict.ts';

export type Counts = JobCounts;

function countPhases(judged: readonly JudgedJob[]): Counts {
  const counts = { bad: 0, cancelled: 0, building: 0, queued: 0, tolerated: 0, good: 0, all: judged.length };
  for (const { verdict } of judged) counts[verdict.phase]++;
  return counts;
}

const words = {
  bad: 'failed',
  cancelled: 'cancelled',
  building: 'building',
  queued: 'queued',
  tolerated: 'failed but allowed to',
  good: 'good',
} as const satisfies Record<Phase, string>;

type Jobs = Pick<ReportFacts, 'jobs' | 'totals'>;

/** All jobs, also where not all of them were read. */
export function countJobs({ jobs, totals }: Jobs): number {
  return totals?.counts.all ?? jobs.length;
}

/** Those that did not evaluate. */
export function countErrors({ jobs, totals }: Jobs): number {
  return totals?.errors ?? jobs.filter(({ error }) => error !== undefined).length;
}

/** The same as `countPhases` where all were read. */
export function countAll({ totals }: Pick<ReportFacts, 'totals'>, judged: readonly JudgedJob[]): Counts {
  return totals?.counts ?? countPhases(judged);
}

/** `2 failed, 1 building, 37 good`; empty when there is nothing to count. */
export function countsInWords(counts: Counts): string {
  return phases
    .filter((phase) => counts[phase] > 0)
    .map((phase) => `${counts[phase]} ${words[phase]}`)
    .join(', ');
}

export function attributes(count: number): string {
  return count === 1 ? '1 attribute' : `${count} attributes`;
}
