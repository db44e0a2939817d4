/** Beginning again where GitHub would not listen before. */
import type { Knex } from 'knex';
import { requestSending } from './tasks.ts';

/** Days for which the last word about a commit is still worth saying. */
const lookBackDays = 7;

/** A suspension ended or permissions were granted: nobody needs to wait for that any longer. */
export async function endPause(trx: Knex, installationId: number): Promise<void> {
  await trx('installations').where({ id: installationId }).update({ paused_until: null });
}

/**
 * GitHub may now take what it refused before: permissions were granted, a repository came (back). What
 * was given up is tried anew, and what was meant for the installation that a repository had before goes
 * to this one. A pause stays: it may be one that GitHub asked for.
 */
export async function resumeReports(trx: Knex, installationId: number): Promise<void> {
  await trx.raw(
    `UPDATE reports r SET installation_id = p.installation_id, given_up = false, degraded = false,
            tries = 0, not_before = NULL, last_error = NULL
     FROM revisions v, projects p
     WHERE v.id = r.revision_id AND p.id = v.project_id AND p.installation_id = :installationId
       AND r.sent_version < r.version AND (r.given_up OR r.installation_id <> p.installation_id)
       AND r.updated_at > now() - make_interval(days => ${lookBackDays})`,
    { installationId },
  );
  await requestSending(trx, installationId);
}
