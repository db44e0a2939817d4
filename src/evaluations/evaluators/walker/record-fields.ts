/**
 * Fields of what evaluators print, checked by hand: there is a record or two for every attribute, and
 * a schema would take longer for each than all the rest of reading it.
 */
import { z } from 'zod';

export const jobMarks = ['regular', 'may-fail', 'must-fail', 'dependencies-only', 'effect'] as const;
export type JobMark = (typeof jobMarks)[number];

/** Few jobs have any, so these need not be quick. */
export const jobLimits = z.object({
  timeoutSeconds: z.exactOptional(z.number()),
  maxSilentSeconds: z.exactOptional(z.number()),
  priority: z.exactOptional(z.number()),
});

export function unreadable(field: string): Error {
  return new Error(`it has no ${field} of the kind that was expected`);
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

/** Whole numbers from 0. */
export function isIndices(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((each) => Number.isInteger(each) && each >= 0);
}

/** Throws for what is none. */
export function jobMark(value: unknown): JobMark {
  const mark = jobMarks.find((each) => each === value);
  if (mark === undefined) throw unreadable('mark');
  return mark;
}
