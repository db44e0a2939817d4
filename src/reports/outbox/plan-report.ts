/** Writes the wish: what GitHub is to show of a revision, as rows that the sender makes true. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { desiredReport, digestOf, isTerminal, priorityOf } from '../desired.ts';
import { type PlanOptions, planReports } from '../plan/plan.ts';
import { readReportFacts } from '../read.ts';
import type { DesiredReport } from '../types.ts';
import { requestSending } from './tasks.ts';

const existingRow = z.object({
  kind: z.enum(['check', 'status']),
  name: z.string(),
  desired_digest: z.string(),
});

/** Plans one revision. Returns how many reports changed; nothing happens for a revision that is gone. */
export async function planReport(db: Knex, revisionId: number, options: PlanOptions): Promise<number> {
  return db.transaction(async (trx) => {
    // Of two plans at the same time the second sees what the first saw, or newer. Rows that refer
    // to the revision can be written meanwhile.
    await trx.raw('SELECT id FROM revisions WHERE id = ? FOR NO KEY UPDATE', [revisionId]);
    const facts = await readReportFacts(trx, revisionId);
    if (!facts) return 0;
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
