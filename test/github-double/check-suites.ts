/** Check suites: one for each commit, made by GitHub itself. */
import { noCommit, notFound } from './api-error.ts';
import { resolveCommit } from './git.ts';
import { isoTime, type JsonObject } from './json.ts';
import { appJson, pullReferences, repositoryUrl } from './render.ts';
import { paginate, type Route, repositoryRoute } from './router.ts';
import type { CheckSuite, Repository, World } from './world.ts';

/** The suite of a commit, made when it is new. */
export function ensureSuite(world: World, repository: Repository, sha: string, before?: string): CheckSuite {
  const found = repository.suites.find((suite) => suite.headSha === sha);
  if (found) return found;
  const branch = [...repository.announcedRefs].find(
    ([ref, at]) => at === sha && ref.startsWith('refs/heads/'),
  )?.[0];
  const suite: CheckSuite = {
    id: world.nextId(),
    headSha: sha,
    // The head of a fork's pull request is on no branch of this repository.
    headBranch: branch?.slice('refs/heads/'.length) ?? null,
    before: before ?? null,
    createdAt: world.clock(),
  };
  repository.suites.push(suite);
  return suite;
}

export function checkSuiteRoutes(world: World): readonly Route[] {
  return [
    repositoryRoute({ checks: 'read' }, 'GET', '/check-suites/:id', ({ repository, params }) => {
      const suite = repository.suites.find(({ id }) => String(id) === params.id);
      if (!suite) throw notFound();
      return { status: 200, body: suiteJson(world, repository, suite) };
    }),
    repositoryRoute({ checks: 'read' }, 'GET', '/commits/:ref+/check-suites', async (request) => {
      const { repository, params, url } = request;
      const sha = await resolveCommit(repository, params.ref ?? '');
      if (sha === undefined) throw noCommit(params.ref ?? '');
      const suites = repository.suites.filter((suite) => suite.headSha === sha);
      const { items, headers } = paginate(suites, url);
      const body = {
        total_count: suites.length,
        check_suites: items.map((suite) => suiteJson(world, repository, suite)),
      };
      return { status: 200, body, headers };
    }),
  ];
}

/** A suite as the API and the webhooks show it; its state is that of its runs. */
export function suiteJson(world: World, repository: Repository, suite: CheckSuite): JsonObject {
  const newest = new Map(
    repository.runs.filter((run) => run.suite === suite).map((run) => [run.name, run] as const),
  );
  const runs = [...newest.values()];
  const completed = runs.length > 0 && runs.every((run) => run.status === 'completed');
  const started = runs.some((run) => run.status !== 'queued');
  const failed = runs.find((run) => !['success', 'neutral', 'skipped'].includes(run.conclusion ?? ''));
  return {
    id: suite.id,
    node_id: `CS_${suite.id}`,
    head_branch: suite.headBranch,
    head_sha: suite.headSha,
    status: completed ? 'completed' : started ? 'in_progress' : 'queued',
    conclusion: completed ? (failed?.conclusion ?? 'success') : null,
    url: `${repositoryUrl(world, repository)}/check-suites/${suite.id}`,
    before: suite.before,
    after: suite.headSha,
    pull_requests: pullReferences(world, repository, suite.headSha),
    app: appJson(world),
    created_at: isoTime(suite.createdAt),
    updated_at: isoTime(world.clock()),
    rerequestable: true,
    runs_rerequestable: true,
    latest_check_runs_count: runs.length,
    check_runs_url: `${repositoryUrl(world, repository)}/check-suites/${suite.id}/check-runs`,
  };
}
