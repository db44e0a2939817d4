/** Beginning again where GitHub would not listen before. */
import type { Knex } from 'knex';
import { requestSending } from './tasks.ts';

/** Days for which the last word about a commit is still worth saying. */
const lookBackDays = 7;

/**
 * GitHub let an installation do something that it may have refused before: permissions were granted,
 * a suspension ended, a repository came (back). What was given up is tried anew, what was meant for the
 * installation that a repository had before goes to this one, and a pause ends.
 */
export async function resumeReports(trx: Knex, installationId: number): Promise<void> {
  await trx('installations').where({ id: installationId }).update({ paused_until: null });
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
