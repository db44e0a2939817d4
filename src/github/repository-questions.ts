/** What is asked of GitHub about the content of repositories: single files, heads, changed files. */
import { z } from 'zod';
import { mostSettingsBytes } from '../projects/index.ts';
import type { GitHubClient } from './app.ts';
import { failureOf } from './failures.ts';

/** A file as the contents API gives it. `unusable`: it is no text of a sensible size. */
export type FileAnswer =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unusable'; readonly why: string };

/** Pages of 100 files; GitHub shows up to 3000 files, more than anybody filters by. */
const mostFilePages = 3;

const fileAnswer = z.object({
  type: z.string(),
  size: z.number(),
  encoding: z.string().optional(),
  content: z.string().optional(),
});

/** A file at a commit, or at the head of the default branch. */
export async function readRepositoryFile(
  client: GitHubClient,
  { owner, name }: { readonly owner: string; readonly name: string },
  path: string,
  ref: string | undefined,
): Promise<FileAnswer> {
  const answer = await orMissing(
    client.request('GET /repos/{owner}/{repo}/contents/{path}', {
      owner,
      repo: name,
      path,
      ...(ref === undefined ? {} : { ref }),
    }),
  );
  if (answer === undefined) return { kind: 'missing' };
  const file = fileAnswer.safeParse(answer.data).data;
  if (file?.type !== 'file') return { kind: 'unusable', why: 'is not a file' };
  if (file.size > mostSettingsBytes) {
    return { kind: 'unusable', why: `is larger than ${mostSettingsBytes / 1024} KiB` };
  }
  if (file.encoding !== 'base64' || file.content === undefined) {
    return { kind: 'unusable', why: 'cannot be read' };
  }
  return { kind: 'text', text: Buffer.from(file.content, 'base64').toString('utf8') };
}

const refAnswer = z.object({ object: z.object({ sha: z.string() }) });

/** The commit a branch is at now; undefined when there is no such branch. */
export async function readBranchHead(
  client: GitHubClient,
  { owner, name }: { readonly owner: string; readonly name: string },
  branch: string,
): Promise<string | undefined> {
  const answer = await orMissing(
    client.request('GET /repos/{owner}/{repo}/git/ref/{ref}', { owner, repo: name, ref: `heads/${branch}` }),
  );
  return refAnswer.safeParse(answer?.data).data?.object.sha;
}

const filesAnswer = z.array(z.object({ filename: z.string(), previous_filename: z.string().optional() }));

/** The paths a pull request changes, both names of what it renames; undefined when there are too many. */
export async function readChangedFiles(
  client: GitHubClient,
  { owner, name }: { readonly owner: string; readonly name: string },
  number: number,
): Promise<readonly string[] | undefined> {
  const paths: string[] = [];
  for (let page = 1; page <= mostFilePages; page++) {
    const { data } = await client.request('GET /repos/{owner}/{repo}/pulls/{pull_number}/files', {
      owner,
      repo: name,
      pull_number: number,
      per_page: 100,
      page,
    });
    const files = filesAnswer.parse(data);
    for (const file of files)
      paths.push(...[file.filename, file.previous_filename].flatMap((path) => path ?? []));
    if (files.length < 100) return paths;
  }
  return undefined;
}

/** What GitHub answers with 404 is not there. */
export async function orMissing<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (failureOf(error).kind === 'not-found') return undefined;
    throw error;
  }
}
