/** One API request: who asks, may they, what meets them, and the answer in GitHub's form. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, notAccessible, notFound, requiresAuthentication } from './api-error.ts';
import { parseJson, readBody } from './bodies.ts';
import { type FaultKind, faultError } from './faults.ts';
import type { Call } from './journal.ts';
import { apiPrefix, graphqlPath } from './render.ts';
import { type ApiReply, type ApiRequest, findRoute, type Match } from './router.ts';
import { drop, type ServerParts } from './server-parts.ts';
import { type Auth, authenticate, authorise, describeAuth } from './tokens.ts';
import { findRepository, type World } from './world.ts';

/** Answers, or does what the fault says. */
export async function handleApi(
  parts: ServerParts,
  call: Call,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
  fault: FaultKind | undefined,
): Promise<void> {
  let reply: ApiReply;
  try {
    reply = await answer(parts, call, url, request, fault);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    call.message = error.message;
    reply = { status: error.status, body: error.body, headers: error.headers };
  }
  if (fault?.kind === 'drop-after') return drop(call, request);
  call.status = reply.status;
  for (const [name, value] of Object.entries(limitHeaders(parts, call))) response.setHeader(name, value);
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
  response.setHeader('x-github-request-id', `D0UB:${call.n}`);
  if (reply.body === undefined) response.writeHead(reply.status).end();
  else if (reply.body instanceof Uint8Array) response.writeHead(reply.status).end(reply.body);
  else {
    response.writeHead(reply.status, { 'content-type': 'application/json; charset=utf-8' });
    response.end(JSON.stringify(reply.body));
  }
}

async function answer(
  parts: ServerParts,
  call: Call,
  url: URL,
  request: IncomingMessage,
  fault: FaultKind | undefined,
): Promise<ApiReply> {
  const { world } = parts;
  const text = await readBody(request);
  call.body = parseJson(text);
  if (request.headers['user-agent'] === undefined) {
    throw new ApiError({
      status: 403,
      message:
        'Request forbidden by administrative rules. Please make sure your request has a User-Agent header.',
    });
  }
  let auth: Auth;
  try {
    auth = authenticate(world, request.headers.authorization, parts.people);
  } catch (error) {
    call.auth = { kind: 'invalid' };
    throw error;
  }
  call.auth = describeAuth(world, auth);
  const injected = fault && faultError(world, fault);
  if (injected) throw injected;
  const known = url.pathname.startsWith(`${apiPrefix}/`) || url.pathname === graphqlPath;
  const match = known ? findRoute(parts.routes, call.method, call.path) : undefined;
  if (!match) {
    call.unexpected = true;
    throw notFound();
  }
  const free = match.route.path === '/rate_limit';
  const answered = auth.kind === 'installation' && !free ? countCall(parts, call, auth) : () => {};
  const accept = request.headers.accept ?? '';
  try {
    return await dispatch(world, match, { params: match.params, url, body: call.body, auth, accept, call });
  } finally {
    answered();
  }
}

function countCall(
  parts: ServerParts,
  call: Call,
  auth: Extract<Auth, { kind: 'installation' }>,
): () => void {
  try {
    return parts.limiter.count(auth.token.installation.id, call.method !== 'GET');
  } catch (error) {
    if (error instanceof ApiError) call.limited = error.headers['retry-after'] ? 'secondary' : 'primary';
    throw error;
  }
}

function dispatch(world: World, { route }: Match, request: ApiRequest): ApiReply | Promise<ApiReply> {
  const { auth, params } = request;
  if (route.access === 'repository') {
    const named = findRepository(world, `${params.owner}/${params.repo}`);
    return route.answer({ ...request, repository: authorise(auth, named, route.needs) });
  }
  if (route.access === 'app' && auth.kind !== 'jwt') {
    throw new ApiError({ status: 401, message: 'A JSON web token could not be decoded' });
  }
  if (route.access === 'installation' && auth.kind !== 'installation') {
    throw auth.kind === 'anonymous' ? requiresAuthentication() : notAccessible();
  }
  if (route.access === 'user' && auth.kind !== 'user') {
    throw auth.kind === 'anonymous' ? requiresAuthentication() : notAccessible();
  }
  return route.answer(request);
}

function limitHeaders(parts: ServerParts, call: Call): Record<string, string> {
  if (call.auth.installationId === undefined) return {};
  const state = parts.limiter.state(call.auth.installationId);
  return {
    'x-ratelimit-limit': String(state.limit),
    'x-ratelimit-remaining': String(state.remaining),
    'x-ratelimit-used': String(state.used),
    'x-ratelimit-reset': String(state.reset),
    'x-ratelimit-resource': 'core',
  };
}
