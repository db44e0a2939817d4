/** One report as the sender sees it: read before a call, noted before and after it. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { desiredReport } from '../desired.ts';
import type { DesiredCheck, DesiredReport, ReportAddress } from '../types.ts';

const reportRow = z.object({
  id: z.number(),
  revision_id: z.number(),
  desired: desiredReport,
  version: z.number(),
  github_id: z.number().nullable(),
  run: z.number(),
  tries: z.number(),
  sent_completed: z.boolean(),
  uncertain: z.boolean(),
  annotations_sent: z.number(),
  degraded: z.boolean(),
  installation_id: z.number(),
  owner: z.string(),
  name: z.string(),
  sha: z.string(),
  siblings_to_create: z.boolean(),
});

export interface OutboxRow {
  readonly id: number;
  readonly revisionId: number;
  readonly desired: DesiredReport;
  readonly version: number;
  readonly githubId: number | undefined;
  /** Number of the check run of this name, from 1; a rerun has the next. */
  readonly run: number;
  readonly tries: number;
  /** GitHub has this run as completed. */
  readonly sentCompleted: boolean;
  /** A call was begun before and nobody knows how it ended. */
  readonly uncertain: boolean;
  readonly annotationsSent: number;
  readonly degraded: boolean;
  readonly address: ReportAddress;
  /** Other checks of the revision are yet to be created. */
  readonly siblingsToCreate: boolean;
}

/** The newest wish; undefined when it was sent, given up or removed meanwhile. */
export async function readRow(db: Knex, id: number): Promise<OutboxRow | undefined> {
  const result: unknown = await db.raw(
    `SELECT r.id, r.revision_id, r.desired, r.version, r.github_id, r.run, r.tries, r.sent_completed,
            r.uncertain, r.annotations_sent, r.degraded, r.installation_id, p.owner, p.name, v.sha,
            EXISTS (SELECT 1 FROM reports s WHERE s.revision_id = r.revision_id AND s.id <> r.id
                      AND s.kind = 'check' AND s.github_id IS NULL AND NOT s.given_up) AS siblings_to_create
     FROM reports r JOIN revisions v ON v.id = r.revision_id JOIN projects p ON p.id = v.project_id
     WHERE r.id = ? AND r.sent_version < r.version AND NOT r.given_up`,
    [id],
  );
  const { rows } = z.object({ rows: z.array(reportRow) }).parse(result);
  const row = rows[0];
  if (!row) return undefined;
  return {
    id: row.id,
    revisionId: row.revision_id,
    desired: row.desired,
    version: row.version,
    githubId: row.github_id ?? undefined,
    run: row.run,
    tries: row.tries,
    sentCompleted: row.sent_completed,
    uncertain: row.uncertain,
    annotationsSent: row.annotations_sent,
    degraded: row.degraded,
    siblingsToCreate: row.siblings_to_create,
    address: {
      installationId: row.installation_id,
      owner: row.owner,
      name: row.name,
      sha: row.sha,
    },
  };
}

/** Names one check run of one report; GitHub gives it back with the run and with its events. */
export function externalIdOf(row: Pick<OutboxRow, 'id' | 'run'>): string {
  return `ringmaster-report-${row.id}-${row.run}`;
}

/** The report a check run belongs to; undefined for runs that are not of the outbox. */
export function reportIdOf(externalId: string): number | undefined {
  const match = /^ringmaster-report-(\d{1,15})-\d+$/.exec(externalId);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** What the sender writes to a row. */
export type RowChange = Partial<{
  github_id: number | null;
  run: number;
  tries: number;
  not_before: Date | null;
  progress_after: Date | null;
  last_error: string | null;
  given_up: boolean;
  sent_completed: boolean;
  uncertain: boolean;
  annotations_sent: number;
  degraded: boolean;
}>;

export async function changeRow(db: Knex, id: number, change: RowChange): Promise<void> {
  await db('reports').where({ id }).update(change);
}

/**
 * Notes that GitHub has this version. Should two senders ever overlap (one was taken for dead), an
 * older version may have landed on a newer one: then the newest is sent once more.
 */
export async function noteSent(db: Knex, id: number, version: number, change: RowChange): Promise<void> {
  await db('reports')
    .where({ id })
    .update({
      ...change,
      sent_version: db.raw('CASE WHEN sent_version > ? THEN version - 1 ELSE ? END', [version, version]),
    });
}

/** The smallest check that says the same, for when GitHub refuses the whole one. */
export function degradedCheck(check: DesiredCheck): DesiredCheck {
  const { text: _, ...rest } = check;
  return { ...rest, summary: `[Details](${check.detailsUrl})`, annotations: [] };
}

/** A check that is over, as it was before: to be there until its siblings are. */
export function openedCheck(check: DesiredCheck): DesiredCheck {
  const { conclusion: _, completedAt: __, ...rest } = check;
  return { ...rest, status: 'in_progress', annotations: [] };
}
