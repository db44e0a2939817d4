/** Changing files and talking about lines: createCommitOnBranch, review comments. */
import { z } from 'zod';
import { notFound, unprocessable, validationFailed } from './api-error.ts';
import { parseBody } from './check-run-rules.ts';
import { git, resolveCommit, tryGit, writeCommit } from './git.ts';
import { isoTime, type JsonObject } from './json.ts';
import { appBot, repositoryUrl, userJson } from './render.ts';
import { paginate, type Route, repositoryRoute, route } from './router.ts';
import { type Auth, grants, tokenReaches } from './tokens.ts';
import { findRepository, type Repository, type ReviewComment, type World } from './world.ts';

/** The one mutation that is known, however it is laid out. */
const knownMutation =
  /^mutation\s*\(\$input: CreateCommitOnBranchInput!\)\s*\{\s*createCommitOnBranch\(input: \$input\)\s*\{\s*commit\s*\{\s*oid\s*\}\s*\}\s*\}$/;

const mutationBody = z.object({
  query: z.string(),
  variables: z.strictObject({
    input: z.strictObject({
      branch: z.strictObject({ repositoryNameWithOwner: z.string(), branchName: z.string() }),
      expectedHeadOid: z.string().regex(/^[0-9a-f]{40}$/),
      message: z.strictObject({ headline: z.string().min(1), body: z.string().optional() }),
      fileChanges: z.strictObject({
        additions: z.array(z.strictObject({ path: z.string().min(1), contents: z.base64() })).min(1),
      }),
    }),
  }),
});

const reviewBody = z.strictObject({
  body: z.string().min(1).max(65_536),
  commit_id: z.string(),
  path: z.string(),
  line: z.int().min(1),
  side: z.enum(['RIGHT']),
});

/** GraphQL answers refusals with 200. */
const refusal = (type: string, message: string) => ({
  status: 200,
  body: {
    data: { createCommitOnBranch: null },
    errors: [{ type, path: ['createCommitOnBranch'], locations: [{ line: 2, column: 3 }], message }],
  },
});

export function commitRoutes(world: World, onPushed: (repository: Repository) => void): readonly Route[] {
  return [
    route('installation', 'POST', '/graphql', async ({ body, auth }) => {
      const { query, variables } = parseBody(mutationBody, body, 'GraphQL');
      if (!knownMutation.test(query.trim())) throw unprocessable('The double knows one mutation only.');
      const { branch, expectedHeadOid, message, fileChanges } = variables.input;
      const repository = findRepository(world, branch.repositoryNameWithOwner);
      if (!repository || !reaches(auth, repository)) {
        const named = branch.repositoryNameWithOwner;
        return refusal('NOT_FOUND', `Could not resolve to a Repository with the name '${named}'.`);
      }
      if (auth.kind !== 'installation' || !grants(auth.token.permissions.contents, 'write')) {
        return refusal('FORBIDDEN', 'Resource not accessible by integration');
      }
      const ref = `refs/heads/${branch.branchName}`;
      const head = await tryGit(repository.directory, ['rev-parse', '--verify', '--quiet', ref]);
      if (head.exitCode !== 0) return refusal('NOT_FOUND', `No ref found for ${ref}`);
      if (head.stdout.trim() !== expectedHeadOid) {
        const words = `Expected branch to point to "${expectedHeadOid}" but it did not. Pull and try again.`;
        return refusal('STALE_DATA', words);
      }
      if (repository.protectedBranches.has(branch.branchName)) {
        return refusal('UNPROCESSABLE', 'Changes must be made through a pull request.');
      }
      const bot = appBot(world);
      const oid = await writeCommit(repository.directory, {
        branch: branch.branchName,
        // All of them ordinary files, as GitHub does.
        files: Object.fromEntries(
          fileChanges.additions.map(({ path, contents }) => [path, Buffer.from(contents, 'base64')]),
        ),
        message: message.body === undefined ? message.headline : `${message.headline}\n\n${message.body}`,
        author: { name: bot.login, email: `${bot.login}@users.noreply.example.org` },
        time: world.clock(),
        parent: expectedHeadOid,
      });
      onPushed(repository);
      return { status: 200, body: { data: { createCommitOnBranch: { commit: { oid } } } } };
    }),
    repositoryRoute({ pull_requests: 'write' }, 'POST', '/pulls/:number/comments', async (request) => {
      const { repository, params } = request;
      const input = parseBody(reviewBody, request.body, 'PullRequestReviewComment');
      const pull = repository.pulls.get(Number(params.number));
      if (!pull) throw notFound();
      if ((await resolveCommit(repository, input.commit_id)) === undefined) {
        throw validationFailed([
          { resource: 'PullRequestReviewComment', field: 'commit_id', code: 'invalid' },
        ]);
      }
      const shown = await shownLines(repository, pull.baseSha, input.commit_id, input.path);
      if (!shown.has(input.line)) {
        throw validationFailed([
          {
            resource: 'PullRequestReviewComment',
            field: 'pull_request_review_thread.line',
            code: 'invalid',
            message: 'pull_request_review_thread.line must be part of the diff',
          },
        ]);
      }
      const comment: ReviewComment = {
        id: world.nextId(),
        number: pull.number,
        user: appBot(world),
        body: input.body,
        path: input.path,
        line: input.line,
        commitId: input.commit_id,
        createdAt: isoTime(world.clock()),
      };
      repository.reviewComments.push(comment);
      return { status: 201, body: reviewJson(world, repository, comment) };
    }),
    repositoryRoute(
      { pull_requests: 'read' },
      'GET',
      '/pulls/:number/comments',
      ({ repository, params, url }) => {
        const all = repository.reviewComments.filter(({ number }) => String(number) === params.number);
        const { items, headers } = paginate(all.toReversed(), url);
        return { status: 200, body: items.map((one) => reviewJson(world, repository, one)), headers };
      },
    ),
  ];
}

function reaches(auth: Auth, repository: Repository): boolean {
  return auth.kind === 'installation' && tokenReaches(auth.token, repository);
}

/** Lines of the new file that the diff shows, with three around each change. */
async function shownLines(
  { directory }: Repository,
  base: string,
  head: string,
  path: string,
): Promise<ReadonlySet<number>> {
  const from = await git(directory, ['merge-base', base, head]);
  const diff = await git(directory, ['diff', '--no-color', '-U3', from, head, '--', path]);
  const lines = new Set<number>();
  for (const [, start, count] of diff.matchAll(/^@@ -\S+ \+(\d+)(?:,(\d+))? @@/gm)) {
    for (let index = 0; index < Number(count ?? 1); index++) lines.add(Number(start) + index);
  }
  return lines;
}

const reviewJson = (world: World, repository: Repository, comment: ReviewComment): JsonObject => ({
  url: `${repositoryUrl(world, repository)}/pulls/comments/${comment.id}`,
  id: comment.id,
  user: userJson(world, comment.user),
  body: comment.body,
  path: comment.path,
  line: comment.line,
  side: 'RIGHT',
  commit_id: comment.commitId,
  created_at: comment.createdAt,
});
