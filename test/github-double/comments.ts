/** Comments of issues and pull requests, and reactions to them. */
import { z } from 'zod';
import { notFound } from './api-error.ts';
import { parseBody } from './check-run-rules.ts';
import { isoTime, type JsonObject } from './json.ts';
import { appBot, pullRequestJson, repositoryUrl, userJson } from './render.ts';
import { paginate, type RepositoryRequest, type Route, repositoryRoute } from './router.ts';
import type { Auth } from './tokens.ts';
import { type Comment, fullName, type Repository, type User, type World } from './world.ts';

// 65,536 characters is the longest comment GitHub keeps.
const bodySchema = z.strictObject({ body: z.string().min(1).max(65_536) });
const reactionSchema = z.strictObject({
  content: z.enum(['+1', '-1', 'laugh', 'confused', 'heart', 'hooray', 'rocket', 'eyes']),
});

// A pull request is an issue: either permission opens its comments.
const mayRead = { issues: 'read', pull_requests: 'read' } as const;
const mayWrite = { issues: 'write', pull_requests: 'write' } as const;

/** Called after a comment was written through the API. */
export type OnComment = (repository: Repository, comment: Comment) => void;

export function commentRoutes(world: World, onCreated: OnComment): readonly Route[] {
  const needComment = ({ repository, params }: RepositoryRequest): Comment => {
    const found = repository.comments.find(({ id }) => String(id) === params.id);
    if (!found) throw notFound();
    return found;
  };
  const actor = (auth: Auth): User => (auth.kind === 'user' ? auth.user : appBot(world));
  return [
    repositoryRoute(mayWrite, 'POST', '/issues/:number/comments', (request) => {
      const { repository, params, auth } = request;
      const { body } = parseBody(bodySchema, request.body, 'IssueComment');
      if (!repository.pulls.has(Number(params.number))) throw notFound();
      const comment = addComment(world, repository, Number(params.number), actor(auth), body);
      onCreated(repository, comment);
      return { status: 201, body: commentJson(world, repository, comment) };
    }),
    repositoryRoute(mayRead, 'GET', '/issues/:number/comments', ({ repository, params, url }) => {
      const all = repository.comments.filter(({ number }) => String(number) === params.number);
      const { items, headers } = paginate(all, url);
      return { status: 200, body: items.map((item) => commentJson(world, repository, item)), headers };
    }),
    repositoryRoute(mayRead, 'GET', '/issues/comments/:id', (request) => ({
      status: 200,
      body: commentJson(world, request.repository, needComment(request)),
    })),
    repositoryRoute(mayWrite, 'PATCH', '/issues/comments/:id', (request) => {
      const comment = needComment(request);
      comment.body = parseBody(bodySchema, request.body, 'IssueComment').body;
      comment.updatedAt = isoTime(world.clock());
      return { status: 200, body: commentJson(world, request.repository, comment) };
    }),
    repositoryRoute(mayWrite, 'DELETE', '/issues/comments/:id', (request) => {
      request.repository.comments.splice(request.repository.comments.indexOf(needComment(request)), 1);
      return { status: 204 };
    }),
    repositoryRoute(mayWrite, 'POST', '/issues/comments/:id/reactions', (request) => {
      const comment = needComment(request);
      const { content } = parseBody(reactionSchema, request.body, 'Reaction');
      const user = actor(request.auth);
      const old = comment.reactions.find((one) => one.content === content && one.user.login === user.login);
      const reaction = old ?? { id: world.nextId(), user, content };
      if (!old) comment.reactions.push(reaction);
      return { status: old ? 200 : 201, body: reactionJson(world, reaction) };
    }),
    repositoryRoute(mayRead, 'GET', '/issues/comments/:id/reactions', (request) => {
      const { items, headers } = paginate(needComment(request).reactions, request.url);
      return { status: 200, body: items.map((item) => reactionJson(world, item)), headers };
    }),
    repositoryRoute(mayWrite, 'DELETE', '/issues/comments/:id/reactions/:reaction', (request) => {
      const { reactions } = needComment(request);
      const index = reactions.findIndex(({ id }) => String(id) === request.params.reaction);
      if (index < 0) throw notFound();
      reactions.splice(index, 1);
      return { status: 204 };
    }),
  ];
}

/** Writes a comment as somebody. */
export function addComment(
  world: World,
  repository: Repository,
  number: number,
  user: User,
  body: string,
): Comment {
  const now = isoTime(world.clock());
  const comment: Comment = {
    id: world.nextId(),
    number,
    user,
    body,
    createdAt: now,
    updatedAt: now,
    reactions: [],
  };
  repository.comments.push(comment);
  return comment;
}

const reactionJson = (world: World, reaction: Comment['reactions'][number]): JsonObject => ({
  id: reaction.id,
  node_id: `REA_${reaction.id}`,
  user: userJson(world, reaction.user),
  content: reaction.content,
});

/** A comment as the API and the webhooks show it. */
export function commentJson(world: World, repository: Repository, comment: Comment): JsonObject {
  const page = `${world.url}/${fullName(repository)}/pull/${comment.number}`;
  return {
    url: `${repositoryUrl(world, repository)}/issues/comments/${comment.id}`,
    html_url: `${page}#issuecomment-${comment.id}`,
    issue_url: `${repositoryUrl(world, repository)}/issues/${comment.number}`,
    id: comment.id,
    node_id: `IC_${comment.id}`,
    user: userJson(world, comment.user),
    created_at: comment.createdAt,
    updated_at: comment.updatedAt,
    author_association: comment.user.id === repository.owner.id ? 'OWNER' : 'NONE',
    body: comment.body,
    performed_via_github_app: comment.user.type === 'Bot' ? { id: world.app.id, slug: world.app.slug } : null,
  };
}

/** What an `issue_comment` event says; a pull request shows as an issue. */
export function commentFacts(world: World, repository: Repository, comment: Comment): JsonObject {
  const pull = repository.pulls.get(comment.number);
  const facts = pull ? pullRequestJson(world, repository, pull) : {};
  const { number, title, body, user, state, html_url, labels, created_at, updated_at, url } = facts;
  return {
    comment: commentJson(world, repository, comment),
    issue: {
      ...{ number, title, body, user, state, html_url, labels, created_at, updated_at },
      pull_request: { url, html_url },
    },
  };
}
