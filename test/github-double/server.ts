/** The one port: API, git, pages and the scripts' entrance, each call journalled. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { messageOf } from '../../src/basics/errors.ts';
import { byName, newAddress } from './addresses.ts';
import { ApiError } from './api-error.ts';
import { handleApi } from './api-server.ts';
import { formFields, jsonFields, readBody } from './bodies.ts';
import { type FaultKind, faultError } from './faults.ts';
import { authoriseGit, type GitRequest, isGitPush, parseGitPath, serveGit } from './git-http.ts';
import type { Call } from './journal.ts';
import { apiPrefix, graphqlPath } from './render.ts';
import { drop, type ServerParts } from './server-parts.ts';

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
  /** Resolves when no request is being worked on, git's children and announcements included. */
  settled(): Promise<void>;
}

export function createListener(parts: ServerParts, wantedPort: number): Listener {
  let port = wantedPort;
  let server: Server | undefined;
  const sockets = new Set<Socket>();
  const active = new Set<Promise<void>>();
  return {
    open: () =>
      new Promise((resolve, reject) => {
        const made = createServer((request, response) => {
          const work = handle(parts, request, response)
            .catch((error: unknown) => {
              if (!response.headersSent) response.writeHead(500);
              response.end(JSON.stringify({ message: `The double broke: ${messageOf(error)}` }));
            })
            .finally(() => active.delete(work));
          active.add(work);
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
    settled: async () => {
      while (active.size > 0) await Promise.allSettled([...active]);
    },
  };
}

async function handle(parts: ServerParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', parts.world.url);
  response.sendDate = false;
  response.setHeader('date', new Date(parts.world.clock()).toUTCString());
  const gitRequest = parseGitPath(url.pathname);
  const isApi = url.pathname.startsWith('/api/');
  const moved = newAddress(parts.world, url);
  if (moved !== undefined) {
    request.resume();
    response.writeHead(request.method === 'GET' ? 301 : 307, { location: moved }).end();
    return;
  }
  if (!isApi && !gitRequest) return handleOther(parts, url, request, response);
  const apiPath = url.pathname === graphqlPath ? '/graphql' : url.pathname.replace(apiPrefix, '');
  const path = isApi ? byName(parts.world, apiPath) : url.pathname;
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
