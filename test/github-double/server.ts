/** The one port: API, git, pages and the scripts' entrance, each call journalled. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { messageOf } from '../../src/basics/errors.ts';
import { ApiError, notAccessible, notFound, requiresAuthentication } from './api-error.ts';
import type { BrowserReply, BrowserRequest } from './browser.ts';
import type { Changes } from './changes.ts';
import { type FaultKind, type Faults, faultError } from './faults.ts';
import { authoriseGit, type GitRequest, isGitPush, parseGitPath, serveGit } from './git-http.ts';
import type { Call, Journal } from './journal.ts';
import { asObject } from './json.ts';
import type { RateLimiter } from './limits.ts';
import { apiPrefix } from './render.ts';
import { type ApiReply, type ApiRequest, findRoute, type Match, type Route } from './router.ts';
import { type Auth, authenticate, authorise, describeAuth, type UserTokens } from './tokens.ts';
import { findRepository, type Repository, type World } from './world.ts';

export interface ServerParts {
  readonly world: World;
  readonly routes: readonly Route[];
  readonly journal: Journal;
  readonly faults: Faults;
  readonly limiter: RateLimiter;
  readonly changes: Changes;
  readonly people: UserTokens;
  /** Somebody pushed over HTTP. */
  readonly onPushed: (repository: Repository) => Promise<unknown>;
  readonly visit: (request: BrowserRequest) => BrowserReply | undefined;
  /** Everything else: `_double` and the pages. Returns status, content type, and text. */
  readonly other: (request: OtherRequest) => Promise<OtherReply>;
}

export interface OtherRequest {
  readonly method: string;
  readonly url: URL;
  readonly body: string;
}

export interface OtherReply {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

export interface Listener {
  /** Opens the port; 0 takes a free one, which later calls keep. */
  open(): Promise<number>;
  /** Closes the port and cuts all connections. */
  close(): Promise<void>;
}

/** An API request larger than this is refused. */
const bodyLimitBytes = 10 * 1024 * 1024;

export function createListener(parts: ServerParts, wantedPort: number): Listener {
  let port = wantedPort;
  let server: Server | undefined;
  const sockets = new Set<Socket>();
  return {
    open: () =>
      new Promise((resolve, reject) => {
        const made = createServer((request, response) => {
          handle(parts, request, response).catch((error: unknown) => {
            if (!response.headersSent) response.writeHead(500);
            response.end(JSON.stringify({ message: `The double broke: ${messageOf(error)}` }));
          });
        });
        made.on('connection', (socket) => {
          sockets.add(socket);
          socket.once('close', () => sockets.delete(socket));
        });
        made.once('error', reject);
        made.listen(port, '127.0.0.1', () => {
          const address = made.address();
          if (address !== null && typeof address === 'object') port = address.port;
          server = made;
          resolve(port);
        });
      }),
    close: () =>
      new Promise((resolve) => {
        const closing = server;
        server = undefined;
        if (!closing) {
          resolve();
          return;
        }
        closing.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function handle(parts: ServerParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', parts.world.url);
  response.sendDate = false;
  response.setHeader('date', new Date(parts.world.clock()).toUTCString());
  const gitRequest = parseGitPath(url.pathname);
  const isApi = url.pathname.startsWith('/api/');
  if (!isApi && !gitRequest) return handleOther(parts, url, request, response);
  const path = isApi ? url.pathname.replace(apiPrefix, '') : url.pathname;
  const call = parts.journal.start(request.method ?? 'GET', path, url.search);
  try {
    const fault = parts.faults.take(call.method, path);
    if (fault) call.fault = fault.kind;
    if (fault?.kind === 'hang') {
      call.status = 'hung';
      parts.changes.notify();
      await parts.faults.released();
    }
    if (fault?.kind === 'hang' || fault?.kind === 'drop-before') return drop(call, request);
    if (gitRequest) await handleGit(parts, gitRequest, call, url, request, response, fault);
    else await handleApi(parts, call, url, request, response, fault);
  } finally {
    parts.changes.notify();
  }
}

function drop(call: Call, request: IncomingMessage): void {
  if (call.status !== 'hung') call.status = 'dropped';
  request.socket.destroy();
}

async function handleGit(
  parts: ServerParts,
  gitRequest: GitRequest,
  call: Call,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
  fault: FaultKind | undefined,
): Promise<void> {
  const push = isGitPush(gitRequest, url);
  try {
    const injected = fault && faultError(parts.world, fault);
    if (injected) throw injected;
    const header = request.headers.authorization;
    const repository = authoriseGit(parts.world, gitRequest, header, call, push, parts.people);
    if (fault?.kind === 'drop-after') return drop(call, request);
    call.status = await serveGit(repository, gitRequest, request, response, url, push);
    if (gitRequest.rest === 'git-receive-pack') await parts.onPushed(repository);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    call.status = error.status;
    call.message = error.message;
    request.resume();
    response.writeHead(error.status, { 'content-type': 'text/plain', ...error.headers });
    response.end(`${error.message}\n`);
  }
}

async function handleApi(
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
  const match = url.pathname.startsWith(`${apiPrefix}/`)
    ? findRoute(parts.routes, call.method, call.path)
    : undefined;
  if (!match) {
    call.unexpected = true;
    throw notFound();
  }
  if (auth.kind === 'installation' && match.route.path !== '/rate_limit') countCall(parts, call, auth);
  const accept = request.headers.accept ?? '';
  return dispatch(world, match, { params: match.params, url, body: call.body, auth, accept, call });
}

function countCall(parts: ServerParts, call: Call, auth: Extract<Auth, { kind: 'installation' }>): void {
  try {
    parts.limiter.count(auth.token.installation.id, call.method !== 'GET');
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

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > bodyLimitBytes) throw new ApiError({ status: 413, message: 'Payload too large' });
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError({ status: 400, message: 'Problems parsing JSON' });
  }
}

async function handleOther(
  parts: ServerParts,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const body = await readBody(request);
    const method = request.method ?? 'GET';
    const json = (request.headers['content-type'] ?? '').includes('json');
    const visited = parts.visit({ method, url, fields: json ? jsonFields(body) : formFields(body) });
    if (visited && 'redirect' in visited) {
      response.writeHead(302, { location: visited.redirect }).end();
      return;
    }
    const reply = visited
      ? { status: visited.status, type: 'application/json', text: JSON.stringify(visited.json) }
      : await parts.other({ method, url, body });
    response.writeHead(reply.status, { 'content-type': `${reply.type}; charset=utf-8` });
    response.end(reply.text);
  } catch (error) {
    const status = error instanceof ApiError ? error.status : 400;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ message: messageOf(error) }));
  } finally {
    parts.changes.notify();
  }
}

const formFields = (text: string) => Object.fromEntries(new URLSearchParams(text));

function jsonFields(text: string): Record<string, string> {
  const entries = Object.entries(asObject(parseJson(text)));
  return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
}
