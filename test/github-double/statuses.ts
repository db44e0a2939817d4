/** Commit statuses: append-only, the newest of each context counts. */
import { z } from 'zod';
import { noCommit, unprocessable } from './api-error.ts';
import { parseBody } from './check-run-rules.ts';
import { resolveCommit } from './git.ts';
import { isoTime, type JsonObject } from './json.ts';
import { appBot, repositoryJson, repositoryUrl, userJson } from './render.ts';
import { paginate, type RepositoryRequest, type Route, repositoryRoute } from './router.ts';
import type { CommitStatus, Repository, World } from './world.ts';

const statusesPerContext = 1000;

const schema = z.strictObject({
  state: z.enum(['error', 'failure', 'pending', 'success']),
  context: z.string().min(1).max(255).nullish(),
  description: z.string().max(140, 'description is too long (maximum is 140 characters)').nullish(),
  target_url: z
    .string()
    .refine((text) => /^https?:\/\/\S+$/.test(text), 'target_url must use http(s) scheme')
    .nullish(),
});

export function statusRoutes(world: World): readonly Route[] {
  const shaOf = async ({ repository, params }: RepositoryRequest): Promise<string> => {
    const sha = await resolveCommit(repository, params.ref ?? '');
    if (sha === undefined) throw noCommit(params.ref ?? '');
    return sha;
  };
  const list = async (request: RepositoryRequest) => {
    const sha = await shaOf(request);
    const all = request.repository.statuses.filter((status) => status.sha === sha).toReversed();
    const { items, headers } = paginate(all, request.url);
    return { status: 200, body: items.map((item) => statusJson(world, request.repository, item)), headers };
  };
  return [
    repositoryRoute({ statuses: 'write' }, 'POST', '/statuses/:sha', async (request) => {
      const { repository, params, body } = request;
      const input = parseBody(schema, body, 'Status');
      const sha = params.sha ?? '';
      // Unlike the readers, this endpoint takes no branch names.
      const exists = /^[0-9a-f]{40}$/.test(sha) && (await resolveCommit(repository, sha)) === sha;
      if (!exists) throw noCommit(sha);
      const context = input.context ?? 'default';
      const same = repository.statuses.filter((status) => status.sha === sha && status.context === context);
      if (same.length >= statusesPerContext) {
        throw unprocessable('This SHA and context has reached the maximum number of statuses.');
      }
      const status: CommitStatus = {
        id: world.nextId(),
        sha,
        state: input.state,
        context,
        description: input.description ?? null,
        targetUrl: input.target_url ?? null,
        createdAt: isoTime(world.clock()),
      };
      repository.statuses.push(status);
      return { status: 201, body: statusJson(world, repository, status) };
    }),
    repositoryRoute({ statuses: 'read' }, 'GET', '/commits/:ref+/statuses', list),
    repositoryRoute({ statuses: 'read' }, 'GET', '/statuses/:ref+', list),
    repositoryRoute({ statuses: 'read' }, 'GET', '/commits/:ref+/status', async (request) => {
      const { repository, url } = request;
      const sha = await shaOf(request);
      const latest = latestStatuses(repository, sha);
      const { items, headers } = paginate(latest, url);
      const body = {
        state: combinedState(latest),
        statuses: items.map((status) => statusJson(world, repository, status)),
        sha,
        total_count: latest.length,
        repository: repositoryJson(world, repository),
        commit_url: `${repositoryUrl(world, repository)}/commits/${sha}`,
        url: `${repositoryUrl(world, repository)}/commits/${sha}/status`,
      };
      return { status: 200, body, headers };
    }),
  ];
}

/** The newest status of each context of a commit. */
export function latestStatuses(repository: Repository, sha: string): readonly CommitStatus[] {
  const newest = new Map<string, CommitStatus>();
  for (const status of repository.statuses) if (status.sha === sha) newest.set(status.context, status);
  return [...newest.values()];
}

function combinedState(statuses: readonly CommitStatus[]): string {
  if (statuses.some(({ state }) => state === 'error' || state === 'failure')) return 'failure';
  if (statuses.length === 0 || statuses.some(({ state }) => state === 'pending')) return 'pending';
  return 'success';
}

function statusJson(world: World, repository: Repository, status: CommitStatus): JsonObject {
  return {
    url: `${repositoryUrl(world, repository)}/statuses/${status.sha}`,
    id: status.id,
    node_id: `SC_${status.id}`,
    state: status.state,
    description: status.description,
    target_url: status.targetUrl,
    context: status.context,
    created_at: status.createdAt,
    updated_at: status.createdAt,
    creator: userJson(world, appBot(world)),
  };
}
