/** For tests: repositories below a folder served over HTTP by git itself, as a forge does. */
import { createServer } from 'node:http';
import { runProcess } from '../basics/index.ts';
import { environment } from './test-origin.ts';

export interface TestGitServer {
  /** Without a slash at the end. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * A repository called `secret` is only for those with the password `sesame`. An answer breaks off after
 * `breaksOffAfter` bytes, while that is a number.
 */
export async function serveRepositories(
  root: string,
  network: { breaksOffAfter?: number | undefined } = {},
): Promise<TestGitServer> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname.includes('/secret.git') && request.headers.authorization !== `Basic ${token}`) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    const asked: Buffer[] = [];
    request.on('data', (chunk: Buffer) => asked.push(chunk));
    request.on('end', async () => {
      const input = Buffer.concat(asked);
      const { stdout } = await runProcess('sh', ['-c', 'git http-backend | base64'], {
        env: {
          ...environment,
          GIT_PROJECT_ROOT: root,
          GIT_HTTP_EXPORT_ALL: '1',
          GIT_CONFIG_COUNT: '1',
          GIT_CONFIG_KEY_0: 'safe.directory',
          GIT_CONFIG_VALUE_0: '*',
          PATH_INFO: url.pathname,
          QUERY_STRING: url.search.slice(1),
          REQUEST_METHOD: request.method ?? 'GET',
          CONTENT_TYPE: request.headers['content-type'] ?? '',
          CONTENT_LENGTH: String(input.length),
          HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
          GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        },
        input,
      });
      const answer = Buffer.from(stdout, 'base64');
      const end = answer.indexOf('\r\n\r\n');
      const head = answer.subarray(0, end).toString('latin1');
      const type = /^Content-Type: (.*)$/im.exec(head)?.[1]?.trim() ?? 'text/plain';
      const status = Number(/^Status: (\d+)/im.exec(head)?.[1] ?? 200);
      const body = answer.subarray(end + 4);
      response.writeHead(status, { 'content-type': type, 'content-length': body.length });
      const cut = network.breaksOffAfter ?? body.length;
      if (cut >= body.length) response.end(body);
      else response.write(body.subarray(0, cut), () => response.destroy());
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const token = Buffer.from('x-access-token:sesame').toString('base64');
