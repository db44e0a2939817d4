import type { NotificationEvent } from './types.ts';

export interface Outcome {
  /** What an evaluation came to; it may fail without an attribute that does. */
  readonly failed: boolean;
  /** Attributes that fail and did not in the evaluation before. */
  readonly newlyFailing: number;
}

/** What a verdict is, given whether the branch failed before; undefined: nothing is known of it. */
export function judge(
  { failed, newlyFailing }: Outcome,
  failedBefore: boolean | undefined,
): NotificationEvent {
  if (failed) return failedBefore === true && newlyFailing === 0 ? 'failing' : 'broken';
  return failedBefore === true ? 'recovered' : 'passing';
}
