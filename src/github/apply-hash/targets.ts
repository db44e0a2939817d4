/** Where a commit of a hash would go: the branch that is at the commit, or pull requests from forks. */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { Project } from '../../projects/index.ts';
import { isMergeQueue } from '../deliveries/filters.ts';
import type { Questions, RepositoryPlace } from '../questions.ts';

export interface Targets {
  /** Branches of the repository that are at the commit now. */
  readonly branches: readonly string[];
  /** Branches that were at the commit and are elsewhere now. */
  readonly moved: readonly string[];
  /** Pull requests from forks whose head it is now. */
  readonly proposals: readonly number[];
}

const sourceRow = z.object({ kind: z.enum(['branch', 'pull-request', 'tag']), name: z.string() });

/** The default branch counts only where nothing else has the commit: it was pressed on its own head. */
export async function findTargets(
  { db, questions }: { readonly db: Knex; readonly questions: Questions },
  commit: {
    readonly place: RepositoryPlace;
    readonly sha: string;
    readonly project: Project;
    readonly revisionId: number;
  },
): Promise<Targets> {
  const { place, sha, project } = commit;
  const rows: unknown = await db('revision_sources')
    .select('kind', 'name')
    .where({ revision_id: commit.revisionId })
    .whereNull('ended_at')
    .orderBy('seen_at', 'desc')
    .limit(20);
  const names = new Set<string>();
  const moved: string[] = [];
  const proposals: number[] = [];
  for (const { kind, name } of z.array(sourceRow).parse(rows)) {
    if (kind === 'branch' && !isMergeQueue(name)) names.add(name);
    if (kind !== 'pull-request') continue;
    const pull = await questions.pullRequest(place, Number(name));
    if (!pull?.open) continue;
    if (pull.repositoryId === place.repositoryId) names.add(pull.branch ?? '');
    else if (pull.sha === sha) proposals.push(Number(name));
  }
  const standing: string[] = [];
  names.delete('');
  for (const name of names) {
    ((await questions.branchHead(place, name)) === sha ? standing : moved).push(name);
  }
  const others = standing.filter((name) => name !== project.defaultBranch);
  return { branches: others.length > 0 ? others : standing, moved, proposals };
}
