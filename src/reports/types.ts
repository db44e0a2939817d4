/**
 * What is to stand on GitHub for a revision. Features write the wish; the outbox makes GitHub agree.
 * Limits are GitHub's (bytes, not characters): see `limits.ts`.
 */

export type CheckConclusion =
  | 'success'
  | 'failure'
  | 'neutral'
  | 'cancelled'
  | 'skipped'
  | 'timed_out'
  | 'action_required';

export interface Annotation {
  /** Path relative to the repository's root. */
  readonly path: string;
  readonly startLine: number;
  readonly endLine: number;
  readonly startColumn?: number;
  readonly level: 'notice' | 'warning' | 'failure';
  readonly title?: string;
  readonly message: string;
}

/** A button of a check run. GitHub allows three, of 20, 20 and 40 characters. */
export interface CheckAction {
  readonly label: string;
  readonly identifier: string;
  readonly description: string;
}

/** One check run as it should be. */
export interface DesiredCheck {
  readonly kind: 'check';
  readonly name: string;
  readonly status: 'queued' | 'in_progress' | 'completed';
  /** Exactly when completed. */
  readonly conclusion?: CheckConclusion;
  readonly title: string;
  /** Markdown. */
  readonly summary: string;
  /** Markdown. */
  readonly text?: string;
  readonly detailsUrl: string;
  readonly startedAt?: string;
  readonly completedAt?: string;
  readonly annotations: readonly Annotation[];
  /** GitHub shows them once the run has completed. */
  readonly actions?: readonly CheckAction[];
}

/** One commit status as it should be. */
export interface DesiredStatus {
  readonly kind: 'status';
  /** The status' context, for example `ringmaster/ci`. */
  readonly name: string;
  readonly state: 'pending' | 'success' | 'failure' | 'error';
  /** At most 140 characters. */
  readonly description: string;
  readonly targetUrl: string;
}

export type DesiredReport = DesiredCheck | DesiredStatus;

/** Where a report goes. */
export interface ReportAddress {
  readonly installationId: number;
  readonly owner: string;
  readonly name: string;
  readonly sha: string;
}

/** How one call to GitHub went, as far as the outbox must know. */
export type SendResult =
  | {
      readonly kind: 'sent';
      readonly githubId: number | undefined;
      /** Annotations the run has at GitHub (`output.annotations_count`), where the answer tells. */
      readonly annotationCount?: number;
    }
  /** Try again, not before so many seconds; `installationWide` pauses everything of the installation. */
  | {
      readonly kind: 'later';
      readonly reason: string;
      readonly afterSeconds: number | undefined;
      readonly installationWide: boolean;
    }
  /** The check run is not there any more: create it anew. */
  | { readonly kind: 'gone'; readonly reason: string }
  /** GitHub will never accept this; what is `misplaced` would be refused whatever it said. */
  | { readonly kind: 'refused'; readonly reason: string; readonly misplaced?: true };

/** The calls the outbox makes; implemented over the GitHub App by `src/github`. Never rejects. */
export interface ReportTransport {
  /** Sends all annotations of `check`; the outbox gives at most 50 of them. */
  createCheck(address: ReportAddress, check: DesiredCheck, externalId: string): Promise<SendResult>;
  /** `newAnnotations` are those GitHub does not have yet (it appends). */
  updateCheck(
    address: ReportAddress,
    githubId: number,
    check: DesiredCheck,
    newAnnotations: readonly Annotation[],
  ): Promise<SendResult>;
  /**
   * Looks for a check run of ours with this name and external id, after a call whose answer was lost.
   * `sent` with its id and `annotationCount` when there is one, `gone` when there is none.
   */
  findCheck(address: ReportAddress, name: string, externalId: string): Promise<SendResult>;
  setStatus(address: ReportAddress, status: DesiredStatus): Promise<SendResult>;
  /** All runs of ours that stand on a commit, the newest of each name. */
  listChecks(
    address: ReportAddress,
  ): Promise<
    | { readonly kind: 'listed'; readonly checks: readonly StandingCheck[] }
    | { readonly kind: 'failed'; readonly reason: string }
  >;
}

/** What a check run is on GitHub. */
export interface StandingCheck {
  readonly id: number;
  readonly status: string;
  readonly conclusion: string | null;
}
