/**
 * Repositories under CI. GitHub's numeric id is who a repository is; owner and name are what it is
 * called at the moment, and follow GitHub.
 *
 * News about a repository comes in any order (a redelivery can be days old), so every change says
 * how old its knowledge is, and older knowledge never overwrites newer.
 */
import type { Knex } from '../postgres/index.ts';
import type { Project } from './types.ts';

/** What a message from GitHub says about a repository. */
export interface ProjectFacts {
  readonly githubRepositoryId: number;
  readonly installationId: number;
  readonly owner: string;
  readonly name: string;
  readonly private: boolean;
  /** Undefined where the message does not say it. */
  readonly defaultBranch: string | undefined;
  /** When the message reached us. */
  readonly asOf: Date;
  /** Somebody chose this repository just now: a project at rest wakes up. */
  readonly enable?: boolean;
}

interface ProjectRow {
  readonly id: number;
  readonly github_repository_id: number;
  readonly installation_id: number;
  readonly owner: string;
  readonly name: string;
  readonly default_branch: string;
  readonly private: boolean;
  readonly enabled: boolean;
  readonly paused_at: Date | null;
}

/**
 * Until GitHub tells a repository's default branch, git's own name for it stands in:
 * messages about installations carry only names.
 */
const unknownDefaultBranch = 'HEAD';

/** Records what is known about a repository, and returns the project as it then is. */
export async function upsertProject(db: Knex, facts: ProjectFacts): Promise<Project> {
  await db.raw(
    `INSERT INTO projects (github_repository_id, installation_id, owner, name, default_branch, private,
                           created_at, updated_at)
     VALUES (:githubRepositoryId, :installationId, :owner, :name, :defaultBranch, :private, :asOf, :asOf)
     ON CONFLICT (github_repository_id) DO UPDATE SET
       installation_id = excluded.installation_id, owner = excluded.owner, name = excluded.name,
       default_branch = CASE WHEN :branchKnown THEN excluded.default_branch ELSE projects.default_branch END,
       private = excluded.private, enabled = projects.enabled OR :enable,
       paused_at = CASE WHEN NOT :enable THEN projects.paused_at END, updated_at = excluded.updated_at
     WHERE projects.updated_at <= excluded.updated_at`,
    {
      ...facts,
      defaultBranch: facts.defaultBranch ?? unknownDefaultBranch,
      branchKnown: facts.defaultBranch !== undefined,
      enable: facts.enable ?? false,
    },
  );
  const project = await findProjectByRepository(db, facts.githubRepositoryId);
  if (!project) throw new Error(`Repository ${facts.githubRepositoryId} vanished while it was recorded.`);
  return project;
}

/** Finds a project by our own id. */
export async function findProject(db: Knex, id: number): Promise<Project | undefined> {
  const row: ProjectRow | undefined = await db('projects').where({ id }).first();
  return row && fromRow(row);
}

/** Finds a project by GitHub's repository id. */
export async function findProjectByRepository(
  db: Knex,
  githubRepositoryId: number,
): Promise<Project | undefined> {
  const row: ProjectRow | undefined = await db('projects')
    .where({ github_repository_id: githubRepositoryId })
    .first();
  return row && fromRow(row);
}

/**
 * Finds a project by its name of the moment; upper and lower case are the same to GitHub. When a
 * name was given to another repository before we heard of it, the newest knowledge wins.
 */
export async function findProjectByName(db: Knex, owner: string, name: string): Promise<Project | undefined> {
  const row: ProjectRow | undefined = await db('projects')
    .whereRaw('lower(owner) = lower(?) AND lower(name) = lower(?)', [owner, name])
    .orderBy([
      { column: 'enabled', order: 'desc' },
      { column: 'updated_at', order: 'desc' },
      { column: 'id', order: 'desc' },
    ])
    .first();
  return row && fromRow(row);
}

/** All projects by name, those at rest included. */
export async function listProjects(db: Knex): Promise<readonly Project[]> {
  const rows: readonly ProjectRow[] = await db('projects').orderByRaw('lower(owner), lower(name), id');
  return rows.map(fromRow);
}

/** Puts a project to rest or wakes it up, at an operator's word. */
export async function setProjectEnabled(db: Knex, id: number, enabled: boolean): Promise<boolean> {
  const paused_at = enabled ? null : db.raw('coalesce(paused_at, now())');
  return (await db('projects').where({ id }).update({ enabled, paused_at, updated_at: db.fn.now() })) > 0;
}

/**
 * Repositories that the installation may not see any more come to rest; their history stays. One
 * that meanwhile belongs to another installation is not touched. Returns how many there were.
 */
export async function markRemoved(
  db: Knex,
  removal: {
    readonly githubRepositoryIds: readonly number[];
    readonly installationId: number;
    readonly asOf: Date;
  },
): Promise<number> {
  return db('projects')
    .whereIn('github_repository_id', [...removal.githubRepositoryIds])
    .where({ installation_id: removal.installationId, enabled: true })
    .where('updated_at', '<=', removal.asOf)
    .update({ enabled: false, updated_at: removal.asOf });
}

function fromRow(row: ProjectRow): Project {
  return {
    id: row.id,
    githubRepositoryId: row.github_repository_id,
    installationId: row.installation_id,
    owner: row.owner,
    name: row.name,
    defaultBranch: row.default_branch,
    private: row.private,
    enabled: row.enabled,
    pausedAt: row.paused_at ?? undefined,
  };
}
