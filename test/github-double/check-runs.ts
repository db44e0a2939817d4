/** Check runs: created, patched, listed and read back. */
import { noCommit, notFound } from './api-error.ts';
import {
  type CheckRunInput,
  parseCheckRunUpdate,
  parseNewCheckRun,
  runsPerNameAndSuite,
} from './check-run-rules.ts';
import { ensureSuite, suiteJson } from './check-suites.ts';
import { resolveCommit } from './git.ts';
import { isoTime, type JsonObject } from './json.ts';
import { appJson, pullReferences, repositoryUrl } from './render.ts';
import { paginate, type RepositoryRequest, type Route, repositoryRoute } from './router.ts';
import { type CheckRun, fullName, type Repository, type World } from './world.ts';

/** Called after a run was created, completed or otherwise changed. */
export type OnCheckRun = (run: CheckRun, change: 'created' | 'completed' | 'updated') => void;

export function checkRunRoutes(world: World, onChange: OnCheckRun): readonly Route[] {
  const needRun = ({ repository, params }: RepositoryRequest): CheckRun => {
    const run = repository.runs.find(({ id }) => String(id) === params.id);
    if (!run) throw notFound();
    return run;
  };
  return [
    repositoryRoute({ checks: 'write' }, 'POST', '/check-runs', async ({ repository, body }) => {
      const run = await createRun(world, repository, body);
      onChange(run, 'created');
      if (run.status === 'completed') onChange(run, 'completed');
      return { status: 201, body: checkRunJson(world, run) };
    }),
    repositoryRoute({ checks: 'write' }, 'PATCH', '/check-runs/:id', (request) => {
      const run = needRun(request);
      const wasCompleted = run.status === 'completed';
      apply(world, run, parseCheckRunUpdate(request.body));
      const completed = run.status === 'completed';
      // GitHub accepts it; a person sees a finished check come alive again, which is never wanted.
      if (wasCompleted && !completed) request.call.regression = true;
      onChange(run, completed && !wasCompleted ? 'completed' : 'updated');
      return { status: 200, body: checkRunJson(world, run) };
    }),
    repositoryRoute({ checks: 'read' }, 'GET', '/check-runs/:id', (request) => ({
      status: 200,
      body: checkRunJson(world, needRun(request)),
    })),
    repositoryRoute({ checks: 'read' }, 'GET', '/check-runs/:id/annotations', (request) => {
      const { items, headers } = paginate(needRun(request).annotations, request.url);
      return { status: 200, body: items, headers };
    }),
    repositoryRoute({ checks: 'read' }, 'GET', '/commits/:ref+/check-runs', async (request) => {
      const sha = await resolveCommit(request.repository, request.params.ref ?? '');
      if (sha === undefined) throw noCommit(request.params.ref ?? '');
      return listRuns(
        world,
        request.repository.runs.filter((run) => run.headSha === sha),
        request,
      );
    }),
    repositoryRoute({ checks: 'read' }, 'GET', '/check-suites/:id/check-runs', (request) => {
      const runs = request.repository.runs.filter(({ suite }) => String(suite.id) === request.params.id);
      return listRuns(world, runs, request);
    }),
  ];
}

async function createRun(world: World, repository: Repository, body: unknown): Promise<CheckRun> {
  const input = parseNewCheckRun(body);
  if ((await resolveCommit(repository, input.head_sha)) === undefined) throw noCommit(input.head_sha);
  const run: CheckRun = {
    id: world.nextId(),
    repository,
    suite: ensureSuite(world, repository, input.head_sha),
    headSha: input.head_sha,
    name: input.name,
    externalId: '',
    detailsUrl: null,
    status: 'queued',
    conclusion: null,
    startedAt: isoTime(world.clock()),
    completedAt: null,
    title: null,
    summary: null,
    text: null,
    annotations: [],
    actions: [],
    history: [],
  };
  apply(world, run, input);
  repository.runs.push(run);
  dropOldest(repository, run);
  return run;
}

/** GitHub keeps the newest thousand of one name in a suite and says nothing. */
function dropOldest(repository: Repository, run: CheckRun): void {
  const same = repository.runs.filter(({ name, suite }) => name === run.name && suite === run.suite);
  for (const old of same.slice(0, Math.max(0, same.length - runsPerNameAndSuite))) {
    repository.runs.splice(repository.runs.indexOf(old), 1);
  }
}

function apply(world: World, run: CheckRun, input: CheckRunInput): void {
  const now = isoTime(world.clock());
  if (input.name !== undefined) run.name = input.name;
  if (input.external_id !== undefined) run.externalId = input.external_id;
  if (input.details_url !== undefined) run.detailsUrl = input.details_url;
  if (input.started_at !== undefined) run.startedAt = input.started_at;
  if (input.actions !== undefined) run.actions = input.actions;
  if (input.output !== undefined) {
    run.title = input.output.title;
    run.summary = input.output.summary;
    run.text = input.output.text ?? null;
    // Annotations of later requests are appended; none is ever replaced.
    for (const given of input.output.annotations ?? []) {
      run.annotations.push({
        path: given.path,
        start_line: given.start_line,
        end_line: given.end_line,
        start_column: given.start_column ?? null,
        end_column: given.end_column ?? null,
        annotation_level: given.annotation_level,
        title: given.title ?? null,
        message: given.message,
        raw_details: given.raw_details ?? null,
      });
    }
  }
  if (input.conclusion !== undefined) {
    // A conclusion completes the run, whatever the status says.
    run.status = 'completed';
    run.conclusion = input.conclusion;
    run.completedAt = input.completed_at ?? now;
  } else if (input.status !== undefined) {
    run.status = input.status;
    run.conclusion = null;
    run.completedAt = null;
  }
  const last = run.history.at(-1);
  if (last?.status !== run.status || last.conclusion !== run.conclusion) {
    run.history.push({ time: now, status: run.status, conclusion: run.conclusion });
  }
}

function listRuns(world: World, all: readonly CheckRun[], request: RepositoryRequest) {
  const query = request.url.searchParams;
  const appId = query.get('app_id');
  const wanted = all.filter(
    (run) =>
      (query.get('check_name') ?? run.name) === run.name &&
      (query.get('status') ?? run.status) === run.status &&
      (appId === null || appId === String(world.app.id)),
  );
  const newest = new Map(wanted.map((run) => [`${run.suite.id} ${run.name}`, run]));
  const shown = query.get('filter') === 'all' ? wanted : [...newest.values()];
  const { items, headers } = paginate(shown.toReversed(), request.url);
  return {
    status: 200,
    body: { total_count: shown.length, check_runs: items.map((run) => checkRunJson(world, run)) },
    headers,
  };
}

/** A check run as the API and the webhooks show it. */
export function checkRunJson(world: World, run: CheckRun): JsonObject {
  const { repository } = run;
  const url = `${repositoryUrl(world, repository)}/check-runs/${run.id}`;
  return {
    id: run.id,
    node_id: `CR_${run.id}`,
    name: run.name,
    head_sha: run.headSha,
    external_id: run.externalId,
    url,
    html_url: `${world.url}/${fullName(repository)}/runs/${run.id}`,
    details_url: run.detailsUrl ?? `${world.url}/${fullName(repository)}/runs/${run.id}`,
    status: run.status,
    conclusion: run.conclusion,
    started_at: run.startedAt,
    completed_at: run.completedAt,
    output: {
      title: run.title,
      summary: run.summary,
      text: run.text,
      annotations_count: run.annotations.length,
      annotations_url: `${url}/annotations`,
    },
    check_suite: suiteJson(world, repository, run.suite),
    app: appJson(world),
    pull_requests: pullReferences(world, repository, run.headSha),
  };
}
