/** What a `push` event says. */

import { tryGit, zeroSha } from './git.ts';
import { type CommitInfo, changedPaths, listCommits, readCommit, unchanged } from './git-history.ts';
import { isoTime, type JsonObject } from './json.ts';
import { repositoryJson, userJson } from './render.ts';
import { fullName, type Repository, type User, type World } from './world.ts';

/** A ref that moved. */
export interface Move {
  readonly ref: string;
  readonly before: string;
  readonly after: string;
}

/** Commits a push payload shows at most. */
const commitsShown = 2048;

/** The payload's own part. */
export async function pushFacts(
  world: World,
  repository: Repository,
  { ref, before, after }: Move,
  sender: User,
): Promise<JsonObject> {
  const { directory } = repository;
  const deleted = after === zeroSha;
  const created = before === zeroSha;
  const commits = deleted
    ? []
    : await listCommits(directory, after, created ? await newBranchBase(repository, ref, after) : before);
  const head = deleted ? undefined : await readCommit(directory, after);
  const ancestor = created || deleted || (await isAncestor(directory, before, after));
  const html = `${world.url}/${fullName(repository)}`;
  const shown = commits.slice(-commitsShown);
  const changes = await changedPaths(directory, [
    ...shown.map(({ sha }) => sha),
    ...(head ? [head.sha] : []),
  ]);
  const facts = (commit: CommitInfo) => ({
    ...commitFacts(html, commit),
    ...(changes.get(commit.sha) ?? unchanged),
  });
  return {
    ref,
    before,
    after,
    created,
    deleted,
    forced: !ancestor,
    base_ref: null,
    compare: `${html}/compare/${before.slice(0, 12)}...${after.slice(0, 12)}`,
    // A tag on a commit that was pushed before brings no commits.
    commits: ref.startsWith('refs/tags/') ? [] : shown.map(facts),
    head_commit: head ? facts(head) : null,
    // Pushes alone give these times as seconds, and the owner a name.
    repository: {
      ...repositoryJson(world, repository),
      created_at: Math.floor(repository.createdAt / 1000),
      pushed_at: Math.floor(world.clock() / 1000),
      master_branch: repository.defaultBranch,
      owner: { ...userJson(world, repository.owner), name: repository.owner.login, email: null },
    },
    pusher: { name: sender.login, email: `${sender.login}@users.noreply.example.org` },
  };
}

async function newBranchBase(
  repository: Repository,
  ref: string,
  after: string,
): Promise<string | undefined> {
  if (ref === `refs/heads/${repository.defaultBranch}`) return undefined;
  const args = ['merge-base', after, `refs/heads/${repository.defaultBranch}`];
  const found = await tryGit(repository.directory, args);
  return found.exitCode === 0 ? found.stdout.trim() : undefined;
}

async function isAncestor(directory: string, before: string, after: string): Promise<boolean> {
  return (await tryGit(directory, ['merge-base', '--is-ancestor', before, after])).exitCode === 0;
}

function commitFacts(html: string, commit: CommitInfo): JsonObject {
  const person = { name: commit.authorName, email: commit.authorEmail, username: commit.authorName };
  return {
    id: commit.sha,
    tree_id: commit.tree,
    distinct: true,
    message: commit.message,
    timestamp: isoTime(Date.parse(commit.date)),
    url: `${html}/commit/${commit.sha}`,
    author: person,
    committer: person,
  };
}
