/** Whether accounts let the App commit: an optional permission, only for the button that applies hashes. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type Logger, messageOf } from '../basics/index.ts';
import { noteMayCommit } from '../projects/index.ts';
import type { GitHubApp } from './app.ts';

const installationAnswer = z.object({ permissions: z.record(z.string(), z.unknown()) });

/** Asks GitHub and notes the answer. Never rejects: without one the button is not shown. */
export function createCommitPermission(options: {
  readonly db: Knex;
  readonly app: GitHubApp;
  readonly log: Logger;
}): (installationId: number) => Promise<void> {
  const { db, app, log } = options;
  return async (installationId) => {
    try {
      const client = await app.appClient();
      const { data } = await client.request('GET /app/installations/{installation_id}', {
        installation_id: installationId,
      });
      const { permissions } = installationAnswer.parse(data);
      await noteMayCommit(db, installationId, permissions.contents === 'write');
    } catch (error) {
      log.info(
        { installation: installationId, reason: messageOf(error) },
        'its permissions are not known yet',
      );
    }
  };
}
