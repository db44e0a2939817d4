/** What is known about writing the right hash into the repository. */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HashApplication, ReportFacts } from './facts.ts';

const applicationRow = z.object({
  specified: z.string(),
  asked_by: z.string(),
  applied: z.boolean(),
  outcome: z.string().nullable(),
});

/** `onlyProposed`: no branch here has the commit, so the hash is suggested to its author, never committed. */
export async function readApplying(
  db: Knex,
  revision: {
    readonly revisionId: number;
    readonly installationId: number;
    readonly onlyProposed: boolean;
  },
): Promise<Pick<ReportFacts, 'mayApply' | 'applications'>> {
  const installation: unknown = await db('installations')
    .select(
      // Should the news of a grant be lost: what was denied is asked again after an hour.
      db.raw(
        `CASE WHEN may_commit OR may_commit_asked_at > now() - interval '1 hour' THEN may_commit END AS may_commit`,
      ),
    )
    .where({ id: revision.installationId })
    .first();
  const known = z.object({ may_commit: z.boolean().nullable() }).safeParse(installation).data;
  const rows: unknown = await db('hash_applications')
    .distinctOn('specified')
    .select('specified', 'asked_by', 'applied', 'outcome')
    .where({ revision_id: revision.revisionId })
    .orderBy([{ column: 'specified' }, { column: 'id', order: 'desc' }]);
  return {
    mayApply: revision.onlyProposed || (known?.may_commit ?? undefined),
    applications: z
      .array(applicationRow)
      .parse(rows)
      .map(
        ({ specified, asked_by, applied, outcome }): HashApplication => ({
          specified,
          askedBy: asked_by,
          applied,
          outcome: outcome ?? undefined,
        }),
      ),
  };
}
