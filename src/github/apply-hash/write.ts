/** The two ways to bring a hash into a repository: a commit on its branch, or a suggestion to the author. */
import { z } from 'zod';
import { fenced, inlineCode } from '../../reports/index.ts';
import type { GitHubClient } from '../app.ts';
import { failureOf } from '../failures.ts';
import type { RepositoryPlace } from '../questions.ts';
import { readBranchHead } from '../repository-questions.ts';
import type { Applied } from './applications.ts';
import type { HashPlace } from './find-place.ts';

export interface Change {
  readonly place: RepositoryPlace;
  /** The commit that was built. */
  readonly sha: string;
  readonly file: Extract<HashPlace, { kind: 'one' }>;
  readonly message: { readonly headline: string; readonly body: string };
  readonly specified: string;
  readonly got: string;
}

/**
 * Appends a commit and moves the branch in one step, only while the branch is where we believe it is.
 * https://docs.github.com/en/graphql/reference/mutations#createcommitonbranch
 */
const mutation = `mutation ($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid } }
}`;

const created = z.object({ createCommitOnBranch: z.object({ commit: z.object({ oid: z.string() }) }) });
const refusals = z.object({
  errors: z.array(z.object({ type: z.string().optional(), message: z.string() })).min(1),
});

/** Rejects with what `failureOf` understands when GitHub does not answer. */
export async function commitChange(client: GitHubClient, change: Change, branch: string): Promise<Applied> {
  const { place, sha, file, message } = change;
  try {
    const answer: unknown = await client.graphql(mutation, {
      input: {
        branch: { repositoryNameWithOwner: `${place.owner}/${place.name}`, branchName: branch },
        expectedHeadOid: sha,
        message,
        fileChanges: {
          additions: [{ path: file.path, contents: Buffer.from(file.newText).toString('base64') }],
        },
      },
    });
    return committed(created.parse(answer).createCommitOnBranch.commit.oid, branch);
  } catch (error) {
    const refused = refusals.safeParse(error).data?.errors[0];
    if (refused === undefined || refused.type === 'RATE_LIMITED') throw error;
    const own = await earlierCommit(client, change, [branch]);
    if (own !== undefined) return own;
    if (refused.type === 'STALE_DATA' || /expected branch to point to/i.test(refused.message)) {
      return { applied: false, outcome: `The branch ${branch} has moved on; nothing was changed.` };
    }
    const words = refused.message.replaceAll(/\s+/g, ' ').slice(0, 200);
    return { applied: false, outcome: `GitHub refused the commit on ${branch}: ${words}` };
  }
}

const committed = (oid: string, branch: string): Applied => ({
  applied: true,
  outcome: `Commit ${oid.slice(0, 12)} on ${branch} has the new hash.`,
});

const commitAnswer = z.object({
  commit: z.object({ message: z.string() }),
  parents: z.array(z.object({ sha: z.string() })),
});

/** The commit of an earlier try whose answer was lost, if it is the head of one of these branches. */
export async function earlierCommit(
  client: GitHubClient,
  change: Change,
  branches: readonly string[],
): Promise<Applied | undefined> {
  for (const branch of branches) {
    const own = await ownCommit(client, change, branch);
    if (own !== undefined) return committed(own, branch);
  }
  return undefined;
}

async function ownCommit(client: GitHubClient, change: Change, branch: string): Promise<string | undefined> {
  const { place, sha, message } = change;
  const head = await readBranchHead(client, place, branch);
  if (head === undefined || head === sha) return undefined;
  const { data } = await client.request('GET /repos/{owner}/{repo}/commits/{ref}', {
    owner: place.owner,
    repo: place.name,
    ref: head,
  });
  const { commit, parents } = commitAnswer.parse(data);
  const ours = commit.message.trim() === `${message.headline}\n\n${message.body}`.trim();
  return ours && parents.length === 1 && parents[0]?.sha === sha ? head : undefined;
}

const comments = z.array(z.object({ body: z.string() }));

/** Suggests the line where the pull request changes it, else says it in a comment; never twice. */
export async function suggestChange(client: GitHubClient, change: Change, number: number): Promise<Applied> {
  const { place, sha, file, specified, got } = change;
  const repository = { owner: place.owner, repo: place.name };
  const intro = 'What is downloaded has another hash than the one that is written here.';
  const suggestion = `${intro}\n\n${fenced(file.newLine, 'suggestion')}`;
  const suggested = { applied: true, outcome: `The hash was suggested in pull request ${number}.` };
  const reviews = await client.request('GET /repos/{owner}/{repo}/pulls/{pull_number}/comments', {
    ...repository,
    pull_number: number,
    direction: 'desc',
    sort: 'created',
    per_page: 100,
  });
  if (comments.parse(reviews.data).some(({ body }) => body === suggestion)) return suggested;
  try {
    await client.request('POST /repos/{owner}/{repo}/pulls/{pull_number}/comments', {
      ...repository,
      pull_number: number,
      commit_id: sha,
      path: file.path,
      line: file.line,
      side: 'RIGHT',
      body: suggestion,
    });
    return suggested;
  } catch (error) {
    // The pull request does not change that line.
    if (failureOf(error).kind !== 'invalid') throw error;
  }
  const where = inlineCode(`${file.path}:${file.line}`);
  const body = `What is downloaded has another hash than the one in ${where}. Write ${inlineCode(got)} in place of ${inlineCode(specified)}.`;
  const said = {
    applied: true,
    outcome: `Pull request ${number} has a comment with the hash and its place.`,
  };
  const all = await client.request('GET /repos/{owner}/{repo}/issues/{issue_number}/comments', {
    ...repository,
    issue_number: number,
    per_page: 100,
  });
  if (comments.parse(all.data).some((one) => one.body === body)) return said;
  await client.request('POST /repos/{owner}/{repo}/issues/{issue_number}/comments', {
    ...repository,
    issue_number: number,
    body,
  });
  return said;
}
