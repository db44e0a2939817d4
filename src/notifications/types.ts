import type { notificationEvents } from '../basics/config/index.ts';

/**
 * What the verdict on a branch is to those who know the one before:
 * `broken` something fails that did not, `failing` nothing new fails, `recovered`, `passing` as before.
 */
export type NotificationEvent = (typeof notificationEvents)[number];

/** All that is told; what a webhook gets is this, spelt in {@link webhookBody}. */
export interface Notification {
  readonly event: NotificationEvent;
  readonly project: string;
  readonly branch: string;
  readonly sha: string;
  readonly title: string;
  readonly author: string;
  readonly evaluationId: number;
  /** Attributes of the evaluation, those with errors included. */
  readonly attributes: number;
  readonly failing: number;
  /** Readable attribute paths that failed, those that are new first; not more than so many. */
  readonly failed: readonly string[];
  readonly newlyFailing: number;
  readonly finishedAt: string;
  /** The page of the commit. */
  readonly url: string;
}
