/** git over smart HTTP, answered by the real `git http-backend`, behind GitHub's rules of access. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { killGroup, startProcess } from '../../src/basics/process.ts';
import { ApiError } from './api-error.ts';
import { gitEnvironment } from './git.ts';
import type { Call } from './journal.ts';
import { authenticate, authorise, describeAuth, type UserTokens } from './tokens.ts';
import { findRepository, type Repository, type World } from './world.ts';

export interface GitRequest {
  readonly owner: string;
  readonly name: string;
  /** For example `info/refs`. */
  readonly rest: string;
}

/** The repository and file a git client asks for, or `undefined` for any other URL. */
export function parseGitPath(path: string): GitRequest | undefined {
  const found =
    /^\/([^/]+)\/([^/]+?)(?:\.git)?\/(info\/refs|git-upload-pack|git-receive-pack|HEAD|objects\/.+)$/.exec(
      path,
    );
  const [, owner, name, rest] = found ?? [];
  return owner && name && rest ? { owner, name, rest } : undefined;
}

/** Whether this request writes. */
export function isGitPush(request: GitRequest, url: URL): boolean {
  return request.rest === 'git-receive-pack' || url.searchParams.get('service') === 'git-receive-pack';
}

/** The repository, or a refusal; sets what the journal knows of the caller. */
export function authoriseGit(
  world: World,
  request: GitRequest,
  header: string | undefined,
  call: Call,
  push: boolean,
  people: UserTokens,
): Repository {
  const challenge = (message: string) =>
    new ApiError({ status: 401, message, headers: { 'www-authenticate': 'Basic realm="GitHub"' } });
  if (header !== undefined && !isGitBasic(header)) {
    call.auth = { kind: 'invalid' };
    throw challenge('Invalid username or password.');
  }
  const repository = findRepository(world, `${request.owner}/${request.name}`);
  if (header === undefined) {
    if (!repository || repository.private || push) throw challenge('No anonymous access.');
    return repository;
  }
  try {
    const auth = authenticate(world, header, people);
    call.auth = describeAuth(world, auth);
    return authorise(auth, repository, { contents: push ? 'write' : 'read' });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (call.auth.kind === 'anonymous') call.auth = { kind: 'invalid' };
    if (error.status === 401) throw challenge('Invalid username or password.');
    throw error.status === 404 ? new ApiError({ status: 404, message: 'Repository not found.' }) : error;
  }
}

/** GitHub's documented form of token use: user name `x-access-token`. */
function isGitBasic(header: string): boolean {
  const [kind, value] = header.split(' ');
  if (kind?.toLowerCase() !== 'basic' || value === undefined) return false;
  return Buffer.from(value, 'base64').toString('utf8').startsWith('x-access-token:');
}

/** Hands an authorised request to git. Resolves with the status when the answer is complete. */
export async function serveGit(
  repository: Repository,
  request: GitRequest,
  incoming: IncomingMessage,
  response: ServerResponse,
  url: URL,
  push: boolean,
): Promise<number> {
  const headers = incoming.headers;
  const optional: Record<string, string> = {};
  const pass = (name: string, value: string | string[] | undefined) => {
    if (typeof value === 'string') optional[name] = value;
  };
  pass('CONTENT_TYPE', headers['content-type']);
  pass('CONTENT_LENGTH', headers['content-length']);
  pass('HTTP_CONTENT_ENCODING', headers['content-encoding']);
  pass('GIT_PROTOCOL', headers['git-protocol']);
  if (push) optional.REMOTE_USER = 'x-access-token';
  const child = startProcess('git', ['http-backend'], {
    env: gitEnvironment({
      GIT_PROJECT_ROOT: repository.directory,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: `/${request.rest}`,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: incoming.method ?? 'GET',
      REMOTE_ADDR: '127.0.0.1',
      ...optional,
    }),
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.once('error', () => {});
  response.once('close', () => killGroup(child));
  child.stderr.resume();
  pipeline(incoming, child.stdin).catch(() => {});
  const status = await relayCgi(child.stdout, response);
  await closed;
  return status;
}

async function relayCgi(output: AsyncIterable<Buffer>, response: ServerResponse): Promise<number> {
  let head = Buffer.alloc(0);
  let status = 0;
  for await (const chunk of output) {
    if (status !== 0) {
      if (!response.write(chunk)) await drained(response);
      continue;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) continue;
    status = 200;
    for (const line of head.subarray(0, end).toString('latin1').split('\r\n')) {
      const [name = '', value = ''] = line.split(/:\s*(.*)/, 2);
      if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.writeHead(status);
    response.write(head.subarray(end + 4));
  }
  if (status === 0) response.writeHead(500);
  response.end();
  return status || 500;
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}
