/** What the double remembers: accounts, installations, repositories and what hangs on their commits. */
import type { KeyObject } from 'node:crypto';
import type { JsonObject } from './json.ts';

/** The double's time in milliseconds; tests move it to make tokens expire and limits reset. */
export type Clock = () => number;
export type Level = 'read' | 'write' | 'admin';
export type Permissions = Readonly<Record<string, Level>>;
export type Role = 'admin' | 'maintain' | 'write' | 'triage' | 'read' | 'none';

export interface User {
  readonly login: string;
  readonly id: number;
  readonly type: 'User' | 'Organization' | 'Bot';
}

export interface App {
  readonly id: number;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly slug: string;
  readonly name: string;
  readonly owner: User;
  readonly privateKey: string;
  readonly publicKey: KeyObject;
  readonly permissions: Permissions;
  readonly events: readonly string[];
  readonly webhookSecret: string;
  readonly createdAt: number;
}

export interface Installation {
  readonly id: number;
  readonly account: User;
  permissions: Permissions;
  suspendedAt: number | undefined;
  deleted: boolean;
  readonly selection: 'all' | 'selected';
  readonly repositoryIds: Set<number>;
  readonly createdAt: number;
}

export interface InstallationToken {
  readonly value: string;
  readonly installation: Installation;
  readonly permissions: Permissions;
  /** `undefined`: everything the installation reaches, also repositories added later. */
  readonly repositoryIds: ReadonlySet<number> | undefined;
  expiresAt: number;
}

export interface Annotation {
  readonly path: string;
  readonly start_line: number;
  readonly end_line: number;
  readonly start_column: number | null;
  readonly end_column: number | null;
  readonly annotation_level: 'notice' | 'warning' | 'failure';
  readonly title: string | null;
  readonly message: string;
  readonly raw_details: string | null;
}

export interface CheckSuite {
  readonly id: number;
  readonly headSha: string;
  readonly headBranch: string | null;
  readonly before: string | null;
  readonly createdAt: number;
}

export interface CheckRun {
  readonly id: number;
  readonly repository: Repository;
  readonly suite: CheckSuite;
  readonly headSha: string;
  name: string;
  externalId: string;
  detailsUrl: string | null;
  status: string;
  conclusion: string | null;
  startedAt: string | null;
  completedAt: string | null;
  title: string | null;
  summary: string | null;
  text: string | null;
  readonly annotations: Annotation[];
  actions: readonly JsonObject[];
  /** Every state it has had, oldest first: what a person watching the page saw. */
  readonly history: { readonly time: string; readonly status: string; readonly conclusion: string | null }[];
}

export interface CommitStatus {
  readonly id: number;
  readonly sha: string;
  readonly state: string;
  readonly context: string;
  readonly description: string | null;
  readonly targetUrl: string | null;
  readonly createdAt: string;
}

export interface Comment {
  readonly id: number;
  readonly number: number;
  readonly user: User;
  body: string;
  readonly createdAt: string;
  updatedAt: string;
  readonly reactions: { readonly id: number; readonly user: User; readonly content: string }[];
}

/** On a line of a pull request's diff. */
export interface ReviewComment {
  readonly id: number;
  readonly number: number;
  readonly user: User;
  readonly body: string;
  readonly path: string;
  readonly line: number;
  readonly commitId: string;
  readonly createdAt: string;
}

export interface PullRequest {
  readonly id: number;
  readonly number: number;
  readonly title: string;
  readonly body: string | null;
  readonly author: User;
  readonly head: { readonly repository: Repository; readonly ref: string };
  readonly base: { readonly ref: string };
  headSha: string;
  baseSha: string;
  state: 'open' | 'closed';
  draft: boolean;
  merged: boolean;
  mergeable: boolean | null;
  mergeCommitSha: string | null;
  readonly labels: string[];
  readonly createdAt: string;
  updatedAt: string;
}

export interface Repository {
  readonly id: number;
  owner: User;
  name: string;
  private: boolean;
  defaultBranch: string;
  /** The bare git repository. */
  readonly directory: string;
  readonly parent: Repository | undefined;
  readonly collaborators: Map<string, Role>;
  readonly pulls: Map<number, PullRequest>;
  readonly suites: CheckSuite[];
  readonly runs: CheckRun[];
  readonly statuses: CommitStatus[];
  readonly comments: Comment[];
  readonly reviewComments: ReviewComment[];
  /** Branches that change through pull requests alone. */
  readonly protectedBranches: Set<string>;
  /** Refs as they were last announced by webhooks. */
  readonly announcedRefs: Map<string, string>;
  readonly knownCommits: Set<string>;
  nextNumber: number;
  readonly createdAt: number;
}

export interface World {
  readonly clock: Clock;
  readonly app: App;
  readonly dataDir: string;
  /** For example `http://127.0.0.1:4000`; known once the server listens. */
  url: string;
  /** Stands for the person at the keyboard: may read and push everything. */
  readonly adminToken: string;
  readonly users: Map<string, User>;
  readonly repositories: Map<number, Repository>;
  readonly installations: Map<number, Installation>;
  readonly tokens: Map<string, InstallationToken>;
  /** Former names in lower case, with the repository that bears another now. */
  readonly formerNames: Map<string, number>;
  readonly nextId: () => number;
}

/** The account with this login, created when it is new. */
export function ensureUser(world: World, login: string, type: User['type'] = 'User'): User {
  const found = world.users.get(login.toLowerCase());
  if (found) return found;
  const user: User = { login, id: world.nextId(), type };
  world.users.set(login.toLowerCase(), user);
  return user;
}

/** `owner/name` of a repository. */
export function fullName(repository: Repository): string {
  return `${repository.owner.login}/${repository.name}`;
}

/** The repository called `owner/name`, in any case of letters, as on GitHub. */
export function findRepository(world: World, name: string): Repository | undefined {
  const wanted = name.toLowerCase();
  for (const repository of world.repositories.values()) {
    if (fullName(repository).toLowerCase() === wanted) return repository;
  }
  return undefined;
}

/** Like findRepository, for a test that must have it. */
export function needRepository(world: World, name: string): Repository {
  const found = findRepository(world, name);
  if (!found) throw new Error(`The GitHub double has no repository '${name}'.`);
  return found;
}

/** The installation that reaches a repository. */
export function installationOf(world: World, repository: Repository): Installation | undefined {
  for (const installation of world.installations.values()) {
    if (!installation.deleted && reaches(installation, repository)) return installation;
  }
  return undefined;
}

/** Whether an installation was given this repository. */
export function reaches(installation: Installation, repository: Repository): boolean {
  if (installation.account.id !== repository.owner.id) return false;
  return installation.selection === 'all' || installation.repositoryIds.has(repository.id);
}

/** The role somebody has in a repository. Everybody may read a public one. */
export function roleOf(repository: Repository, login: string): Role {
  if (login.toLowerCase() === repository.owner.login.toLowerCase()) return 'admin';
  return repository.collaborators.get(login.toLowerCase()) ?? (repository.private ? 'none' : 'read');
}
