/** Git's way into a project's repository: a token for this repository alone, reading alone, once. */
import { type Logger, messageOf } from '../basics/index.ts';
import type { GitAccess, OpenGitAccess, Project } from '../projects/index.ts';
import type { GitHubApp } from './app.ts';
import { failureOf } from './failures.ts';

/** Milliseconds for giving a token back; GitHub ends it after an hour anyway. */
const revokeTimeoutMs = 10_000;

/** Opens access to repositories on GitHub. */
export function createGitAccess(app: GitHubApp | undefined, log: Logger): OpenGitAccess {
  if (!app) {
    return async () => ({
      kind: 'failed',
      reason: 'No GitHub App is configured, so nothing can be fetched.',
    });
  }
  return (project) => openAccess(app, project, log);
}

async function openAccess(app: GitHubApp, project: Project, log: Logger): Promise<GitAccess> {
  const repository = `${project.owner}/${project.name}`;
  try {
    const { token } = await app.mintToken(project.installationId, {
      permissions: { contents: 'read' },
      repositoryIds: [project.githubRepositoryId],
    });
    return {
      kind: 'ready',
      source: {
        url: `${app.webUrl}/${repository}.git`,
        credentials: { username: 'x-access-token', password: token },
      },
      close: () => revokeToken(app, token, log),
    };
  } catch (error) {
    const failure = failureOf(error);
    // A suspension ends with a click; the commits pushed before it are not to fail for it.
    if (/suspended/i.test(failure.reason)) {
      return { kind: 'later', reason: `The App's installation on ${project.owner} is suspended.` };
    }
    const lasting = ['forbidden', 'not-found', 'invalid'].includes(failure.kind);
    return lasting
      ? { kind: 'failed', reason: `The GitHub App may not read ${repository}: ${failure.reason}` }
      : { kind: 'later', reason: failure.reason };
  }
}

/** Gives a token back. Never rejects: it ends by itself within the hour. */
export async function revokeToken(app: GitHubApp, token: string, log: Logger): Promise<void> {
  try {
    await app
      .clientFor(token)
      .request('DELETE /installation/token', { request: { signal: AbortSignal.timeout(revokeTimeoutMs) } });
  } catch (error) {
    log.debug({ reason: messageOf(error) }, 'a git token could not be revoked and ends by itself');
  }
}
