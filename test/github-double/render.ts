/** GitHub's objects as JSON, the same in answers and in webhook payloads. */
import { isoTime, type JsonObject } from './json.ts';
import {
  fullName,
  type Installation,
  type PullRequest,
  type Repository,
  type User,
  type World,
} from './world.ts';

export const apiPrefix = '/api/v3';
/** GraphQL of Enterprise Server has an address beside that of REST. */
export const graphqlPath = '/api/graphql';

/** The API address of a repository. */
export function repositoryUrl(world: World, repository: Repository): string {
  return `${world.url}${apiPrefix}/repos/${fullName(repository)}`;
}

export function userJson(world: World, user: User): JsonObject {
  const url = `${world.url}${apiPrefix}/users/${user.login}`;
  return {
    login: user.login,
    id: user.id,
    node_id: `U_${user.id}`,
    avatar_url: '',
    gravatar_id: '',
    url,
    html_url: `${world.url}/${user.login}`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    type: user.type,
    site_admin: false,
  };
}

/** The account under which the App comments. */
export function appBot(world: World): User {
  return { login: `${world.app.slug}[bot]`, id: world.app.id + 1, type: 'Bot' };
}

export function appJson(world: World): JsonObject {
  const { app } = world;
  return {
    id: app.id,
    client_id: app.clientId,
    slug: app.slug,
    node_id: `A_${app.id}`,
    owner: userJson(world, app.owner),
    name: app.name,
    description: '',
    external_url: world.url,
    html_url: `${world.url}/apps/${app.slug}`,
    created_at: isoTime(app.createdAt),
    updated_at: isoTime(app.createdAt),
    permissions: app.permissions,
    events: app.events,
  };
}

export function installationJson(world: World, installation: Installation): JsonObject {
  const url = `${world.url}${apiPrefix}/app/installations/${installation.id}`;
  return {
    id: installation.id,
    client_id: world.app.clientId,
    account: userJson(world, installation.account),
    repository_selection: installation.selection,
    access_tokens_url: `${url}/access_tokens`,
    repositories_url: `${world.url}${apiPrefix}/installation/repositories`,
    html_url: `${world.url}/settings/installations/${installation.id}`,
    app_id: world.app.id,
    app_slug: world.app.slug,
    target_id: installation.account.id,
    target_type: installation.account.type,
    permissions: installation.permissions,
    events: world.app.events,
    created_at: isoTime(installation.createdAt),
    updated_at: isoTime(installation.createdAt),
    single_file_name: null,
    has_multiple_single_files: false,
    single_file_paths: [],
    suspended_by: null,
    suspended_at: installation.suspendedAt === undefined ? null : isoTime(installation.suspendedAt),
  };
}

export function repositoryJson(world: World, repository: Repository): JsonObject {
  const url = repositoryUrl(world, repository);
  const html = `${world.url}/${fullName(repository)}`;
  return {
    id: repository.id,
    node_id: `R_${repository.id}`,
    name: repository.name,
    full_name: fullName(repository),
    private: repository.private,
    owner: userJson(world, repository.owner),
    html_url: html,
    description: null,
    fork: repository.parent !== undefined,
    url,
    branches_url: `${url}/branches{/branch}`,
    statuses_url: `${url}/statuses/{sha}`,
    commits_url: `${url}/commits{/sha}`,
    contents_url: `${url}/contents/{+path}`,
    pulls_url: `${url}/pulls{/number}`,
    created_at: isoTime(repository.createdAt),
    updated_at: isoTime(repository.createdAt),
    pushed_at: isoTime(world.clock()),
    git_url: `${html}.git`,
    ssh_url: `git@127.0.0.1:${fullName(repository)}.git`,
    clone_url: `${html}.git`,
    homepage: null,
    language: 'Nix',
    archived: false,
    disabled: false,
    visibility: repository.private ? 'private' : 'public',
    default_branch: repository.defaultBranch,
    topics: [],
    ...(repository.parent
      ? { parent: { full_name: fullName(repository.parent), id: repository.parent.id } }
      : {}),
  };
}

export function pullRequestJson(world: World, repository: Repository, pull: PullRequest): JsonObject {
  const url = `${repositoryUrl(world, repository)}/pulls/${pull.number}`;
  const side = (of: Repository, ref: string, sha: string) => ({
    label: `${of.owner.login}:${ref}`,
    ref,
    sha,
    user: userJson(world, of.owner),
    repo: repositoryJson(world, of),
  });
  const closed = pull.state === 'closed' ? pull.updatedAt : null;
  return {
    url,
    id: pull.id,
    node_id: `PR_${pull.id}`,
    html_url: `${world.url}/${fullName(repository)}/pull/${pull.number}`,
    issue_url: `${repositoryUrl(world, repository)}/issues/${pull.number}`,
    number: pull.number,
    state: pull.state,
    locked: false,
    title: pull.title,
    user: userJson(world, pull.author),
    body: pull.body,
    created_at: pull.createdAt,
    updated_at: pull.updatedAt,
    closed_at: closed,
    merged_at: pull.merged ? closed : null,
    merge_commit_sha: pull.mergeCommitSha,
    assignees: [],
    requested_reviewers: [],
    requested_teams: [],
    labels: pull.labels.map((name, index) => ({ id: index + 1, name, color: 'ededed', default: false })),
    draft: pull.draft,
    head: side(pull.head.repository, pull.head.ref, pull.headSha),
    base: side(repository, pull.base.ref, pull.baseSha),
    author_association: pull.author.id === repository.owner.id ? 'OWNER' : 'CONTRIBUTOR',
    auto_merge: null,
    merged: pull.merged,
    mergeable: pull.mergeable,
    mergeable_state: pull.mergeable === null ? 'unknown' : pull.mergeable ? 'clean' : 'dirty',
    maintainer_can_modify: false,
  };
}

/**
 * The pull requests a check belongs to, as checks name them: those within the repository only,
 * never those of forks.
 */
export function pullReferences(world: World, repository: Repository, sha: string): readonly JsonObject[] {
  const side = (ref: string, at: string) => ({
    ref,
    sha: at,
    repo: { id: repository.id, url: repositoryUrl(world, repository), name: repository.name },
  });
  return [...repository.pulls.values()]
    .filter((pull) => pull.headSha === sha && pull.state === 'open' && pull.head.repository === repository)
    .map((pull) => ({
      url: `${repositoryUrl(world, repository)}/pulls/${pull.number}`,
      id: pull.id,
      number: pull.number,
      head: side(pull.head.ref, pull.headSha),
      base: side(pull.base.ref, pull.baseSha),
    }));
}
