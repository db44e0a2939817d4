/**
 * What is asked of GitHub before a delivery is acted on: who somebody is there, at this moment, and
 * where a pull request stands. A payload only says what its sender claims, or what was true once.
 *
 * Each question gets a token for its repository and its purpose alone, which is given back afterwards.
 */
import { z } from 'zod';
import { type Logger, messageOf } from '../basics/index.ts';
import type { GitHubApp, GitHubClient, TokenScope } from './app.ts';
import {
  type FileAnswer,
  orMissing,
  readBranchHead,
  readChangedFiles,
  readRepositoryFile,
} from './repository-questions.ts';

/** Where a question belongs. */
export interface RepositoryPlace {
  readonly installationId: number;
  /** GitHub's id. */
  readonly repositoryId: number;
  readonly owner: string;
  readonly name: string;
}

/** GitHub's older field: `maintain` counts as write, `triage` as read. */
export type Permission = 'admin' | 'write' | 'read' | 'none';

export interface PullRequestHead {
  readonly sha: string;
  /** The repository that holds the head; undefined when the fork is gone. */
  readonly repositoryId: number | undefined;
  /** The branch of that repository. */
  readonly branch?: string | undefined;
  readonly open: boolean;
}

export interface Questions {
  /** What somebody may do in a repository now; `none` for those whom GitHub does not know. */
  permissionOf(place: RepositoryPlace, login: string): Promise<Permission>;
  /** Undefined when there is no such pull request. */
  pullRequest(place: RepositoryPlace, number: number): Promise<PullRequestHead | undefined>;
  /** A file of the default branch, or of a commit. */
  file(place: RepositoryPlace, path: string, ref?: string): Promise<FileAnswer>;
  /** The commit a branch is at now. */
  branchHead(place: RepositoryPlace, branch: string): Promise<string | undefined>;
  /** Paths that a pull request changes; undefined when they are too many to be looked at. */
  changedFiles(place: RepositoryPlace, number: number): Promise<readonly string[] | undefined>;
}

/** Who may do more than look. */
export function mayWrite(permission: Permission): boolean {
  return permission === 'admin' || permission === 'write';
}

const permissionAnswer = z.object({ permission: z.enum(['admin', 'write', 'read', 'none']) });
const pullAnswer = z.object({
  state: z.string(),
  head: z.object({
    sha: z.string().regex(/^[0-9a-f]{40,64}$/),
    ref: z.string().optional(),
    repo: z.object({ id: z.number() }).nullish(),
  }),
});

/** Asks GitHub. Rejects with what `failureOf` understands when it does not answer. */
export function createQuestions(app: GitHubApp, log: Logger): Questions {
  return {
    permissionOf: (place, login) =>
      withRepository(app, log, place, { metadata: 'read' }, async (client) => {
        const answer = await orMissing(
          client.request('GET /repos/{owner}/{repo}/collaborators/{username}/permission', {
            owner: place.owner,
            repo: place.name,
            username: login,
          }),
        );
        // An answer of a kind that is not known gives nobody anything.
        return permissionAnswer.safeParse(answer?.data).data?.permission ?? 'none';
      }),
    pullRequest: (place, number) =>
      withRepository(app, log, place, { pull_requests: 'read' }, async (client) => {
        const answer = await orMissing(
          client.request('GET /repos/{owner}/{repo}/pulls/{pull_number}', {
            owner: place.owner,
            repo: place.name,
            pull_number: number,
          }),
        );
        if (!answer) return undefined;
        const { state, head } = pullAnswer.parse(answer.data);
        return { sha: head.sha, repositoryId: head.repo?.id, branch: head.ref, open: state === 'open' };
      }),
    file: (place, path, ref) =>
      withRepository(app, log, place, { contents: 'read' }, (client) =>
        readRepositoryFile(client, place, path, ref),
      ),
    branchHead: (place, branch) =>
      withRepository(app, log, place, { contents: 'read' }, (client) =>
        readBranchHead(client, place, branch),
      ),
    changedFiles: (place, number) =>
      withRepository(app, log, place, { pull_requests: 'read' }, (client) =>
        readChangedFiles(client, place, number),
      ),
  };
}

/** Milliseconds for giving a token back; GitHub ends it after an hour anyway. */
const revokeTimeoutMs = 10_000;

/** Works with a token that can do one thing in one repository, and ends it. */
export async function withRepository<T>(
  app: GitHubApp,
  log: Logger,
  place: RepositoryPlace,
  permissions: TokenScope['permissions'],
  work: (client: GitHubClient) => Promise<T>,
): Promise<T> {
  const { token } = await app.mintToken(place.installationId, {
    permissions,
    repositoryIds: [place.repositoryId],
  });
  const client = app.clientFor(token);
  try {
    return await work(client);
  } finally {
    // Nobody waits for it.
    client
      .request('DELETE /installation/token', { request: { signal: AbortSignal.timeout(revokeTimeoutMs) } })
      .catch((error: unknown) => log.debug({ reason: messageOf(error) }, 'a token ends by itself'));
  }
}
