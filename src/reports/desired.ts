/** The wish for a report as the database keeps it: written by the planner, read back by the outbox. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { gateName, summaryStatusName } from './names.ts';
import type { DesiredReport } from './types.ts';

const annotation = z.object({
  path: z.string(),
  startLine: z.number(),
  endLine: z.number(),
  startColumn: z.number().exactOptional(),
  level: z.enum(['notice', 'warning', 'failure']),
  title: z.string().exactOptional(),
  message: z.string(),
});

const check = z.object({
  kind: z.literal('check'),
  name: z.string(),
  status: z.enum(['queued', 'in_progress', 'completed']),
  conclusion: z
    .enum(['success', 'failure', 'neutral', 'cancelled', 'skipped', 'timed_out', 'action_required'])
    .exactOptional(),
  title: z.string(),
  summary: z.string(),
  text: z.string().exactOptional(),
  detailsUrl: z.string(),
  startedAt: z.string().exactOptional(),
  completedAt: z.string().exactOptional(),
  annotations: z.array(annotation),
  actions: z
    .array(
      z.object({
        label: z.string().max(20),
        identifier: z.string().max(20),
        description: z.string().max(40),
      }),
    )
    .max(3)
    .exactOptional(),
});

const status = z.object({
  kind: z.literal('status'),
  name: z.string(),
  state: z.enum(['pending', 'success', 'failure', 'error']),
  description: z.string(),
  targetUrl: z.string(),
});

export const desiredReport: z.ZodType<DesiredReport> = z.discriminatedUnion('kind', [check, status]);

/** Equal for equal wishes; the planner writes fields in one order. */
export function digestOf(report: DesiredReport): string {
  return createHash('sha256').update(JSON.stringify(report)).digest('hex');
}

/** Whether the wish is the last word about its run. */
export function isTerminal(report: DesiredReport): boolean {
  return report.kind === 'check' ? report.status === 'completed' : report.state !== 'pending';
}

/** Order of sending; lower is sooner. Kept in `reports.priority`. */
export const priorities = { essential: 0, failure: 20, result: 30, opening: 40, progress: 50 } as const;

/** The ends of gate and summary, then failures, then other ends, then gates to be opened, then progress. */
export function priorityOf(report: DesiredReport): number {
  const leading = report.name === gateName || report.name === summaryStatusName;
  if (isTerminal(report)) {
    if (leading) return priorities.essential;
    const failed =
      report.kind === 'check'
        ? report.conclusion === 'failure' || report.conclusion === 'timed_out'
        : report.state === 'failure';
    return failed ? priorities.failure : priorities.result;
  }
  return leading ? priorities.opening : priorities.progress;
}
