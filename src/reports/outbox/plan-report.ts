/** Writes the wish: what GitHub is to show of a revision, as rows that the sender makes true. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { isFailure } from '../../builds/index.ts';
import { desiredReport, digestOf, isTerminal, priorityOf } from '../desired.ts';
import type { ReportFacts } from '../facts.ts';
import { type PlanOptions, planReports } from '../plan/plan.ts';
import { chooseOwnChecks } from '../plan/selection.ts';
import { judgeJobs } from '../plan/verdict.ts';
import { readReportFacts } from '../read.ts';
import type { DesiredReport } from '../types.ts';
import { requestReport, requestSending } from './tasks.ts';

const existingRow = z.object({
  kind: z.enum(['check', 'status']),
  name: z.string(),
  desired_digest: z.string(),
});

/** What would be told too, and is not in the database yet. */
export interface Lacking {
  readonly installationId: number;
  /** Attempts in whose logs nobody has looked for places. */
  readonly attempts: readonly number[];
  /** Whether the App may commit there. */
  readonly mayCommit: boolean;
}

/** Brings what is lacking into the database, as far as it can be had soon. Never rejects. */
export type Supply = (revisionId: number, lacking: Lacking) => Promise<void>;

/**
 * Plans one revision. Returns how many reports changed; nothing happens for a revision that is gone.
 * What is lacking is waited for, so that what it adds to a report is no second call.
 */
export async function planReport(
  db: Knex,
  revisionId: number,
  options: PlanOptions,
  supply?: Supply,
): Promise<number> {
  const planned = await planOnce(db, revisionId, options, supply !== undefined);
  if (typeof planned === 'number') return planned;
  await supply?.(revisionId, planned);
  const again = await planOnce(db, revisionId, options, false);
  return typeof again === 'number' ? again : 0;
}

/** `complete`: nothing is planned while something is lacking. */
async function planOnce(
  db: Knex,
  revisionId: number,
  options: PlanOptions,
  complete: boolean,
): Promise<number | Lacking> {
  return db.transaction(async (trx) => {
    if (!(await isOnlyPlan(trx, revisionId))) {
      await requestReport(trx, revisionId, 'soon');
      return 0;
    }
    // Rows that refer to the revision can be written meanwhile.
    await trx.raw('SELECT id FROM revisions WHERE id = ? FOR NO KEY UPDATE', [revisionId]);
    const facts = await readReportFacts(trx, revisionId);
    if (!facts) return 0;
    const lacking = complete ? lackingOf(facts) : undefined;
    if (lacking) return lacking;
    const known = await readDigests(trx, revisionId);
    const changed = planReports(facts, options).filter(
      (report) => known.get(keyOf(report)) !== digestOf(report),
    );
    if (changed.length === 0) return 0;
    await writeWishes(trx, revisionId, facts.installationId, changed);
    await requestSending(trx, facts.installationId);
    return changed.length;
  });
}

/**
 * One plan of a revision at a time, so that each sees what the last one saw, or newer. Nobody waits for another:
 * those who did held all the places for background tasks, while a large evaluation went on.
 */
async function isOnlyPlan(trx: Knex.Transaction, revisionId: number): Promise<boolean> {
  const result: unknown = await trx.raw(
    `SELECT pg_try_advisory_xact_lock(hashtextextended('ringmaster plans a report', ?)) AS locked`,
    [revisionId],
  );
  return z.object({ rows: z.tuple([z.object({ locked: z.boolean() })]) }).parse(result).rows[0].locked;
}

/** Only of what is shown: attributes with checks of their own. */
function lackingOf(facts: ReportFacts): Lacking | undefined {
  if (!facts.evaluation) return undefined;
  const own = chooseOwnChecks(facts, judgeJobs(facts.jobs, facts.evaluation));
  const failed = own.flatMap(({ judged: { job } }) =>
    job.build && isFailure(job.build.state) ? [job.build] : [],
  );
  const attempts = failed.flatMap(({ log, logAttemptId, places }) =>
    places === undefined && logAttemptId !== undefined && log && log.lines.length > 0 ? [logAttemptId] : [],
  );
  const mayCommit = facts.mayApply === undefined && failed.some(({ hashes }) => hashes !== undefined);
  if (attempts.length === 0 && !mayCommit) return undefined;
  return { installationId: facts.installationId, attempts: [...new Set(attempts)], mayCommit };
}

function keyOf(report: { readonly kind: string; readonly name: string }): string {
  return `${report.kind} ${report.name}`;
}

async function readDigests(trx: Knex, revisionId: number): Promise<ReadonlyMap<string, string>> {
  const rows: unknown = await trx('reports')
    .select('kind', 'name', 'desired_digest')
    .where('revision_id', revisionId);
  return new Map(
    z
      .array(existingRow)
      .parse(rows)
      .map((row) => [keyOf(row), row.desired_digest]),
  );
}

async function writeWishes(
  trx: Knex,
  revisionId: number,
  installationId: number,
  reports: readonly DesiredReport[],
): Promise<void> {
  for (const report of reports) {
    await trx.raw(
      `INSERT INTO reports (revision_id, installation_id, kind, name, desired, desired_digest, priority, terminal)
       VALUES (:revisionId, :installationId, :kind, :name, :desired, :digest, :priority, :terminal)
       ON CONFLICT (revision_id, kind, name) DO UPDATE SET
         installation_id = excluded.installation_id, desired = excluded.desired,
         desired_digest = excluded.desired_digest, priority = excluded.priority,
         terminal = excluded.terminal, version = reports.version + 1, updated_at = now(),
         -- What GitHub refused was the old wish.
         given_up = false, degraded = false,
         last_error = CASE WHEN reports.given_up OR reports.degraded THEN NULL ELSE reports.last_error END`,
      {
        revisionId,
        installationId,
        kind: report.kind,
        name: report.name,
        desired: JSON.stringify(desiredReport.parse(report)),
        digest: digestOf(report),
        priority: priorityOf(report),
        terminal: isTerminal(report),
      },
    );
  }
}
