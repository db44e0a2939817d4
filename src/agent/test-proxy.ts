/** An HTTP proxy on loopback that knows where hosts are which nobody else can find. */
import { createServer, request, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface TestProxy {
  /** With the user and password that it asks for. */
  readonly url: string;
  /** What was asked for, for example `GET http://host/path` and `CONNECT host:443`. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

const credentials = 'agent:p@ss';

/** `ports`: of each host (`name:port`), the port of this machine where it answers. */
export async function startTestProxy(ports: Readonly<Record<string, number>>): Promise<TestProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const mayPass = (authorization: string | undefined) =>
    authorization === `Basic ${Buffer.from(credentials).toString('base64')}`;
  const server: Server = createServer((incoming, answer) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    const url = URL.canParse(incoming.url ?? '') ? new URL(incoming.url ?? '') : undefined;
    const port = url && ports[`${url.hostname}:${url.port || 80}`];
    if (!url || !port) return void answer.writeHead(502).end();
    if (!mayPass(incoming.headers['proxy-authorization'])) return void answer.writeHead(407).end();
    const { 'proxy-authorization': _, ...headers } = incoming.headers;
    const { method } = incoming;
    const onward = request({ host: '127.0.0.1', port, path: url.pathname + url.search, method, headers });
    onward.on('response', (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      // What trickles must not wait for more: it may be a stream of messages.
      answer.flushHeaders();
      response.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  server.on('connect', (incoming, near: Socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    near.on('error', () => {});
    const port = ports[incoming.url ?? ''];
    if (!mayPass(incoming.headers['proxy-authorization'])) return near.end('HTTP/1.1 407 No\r\n\r\n');
    if (!port) return near.end('HTTP/1.1 502 No\r\n\r\n');
    const far = connect(port, '127.0.0.1', () => {
      near.write('HTTP/1.1 200 Yes\r\n\r\n');
      near.pipe(far).pipe(near);
    });
    sockets.add(far);
    far.on('error', () => near.destroy());
    near.on('close', () => far.destroy());
    far.on('close', () => sockets.delete(far));
    return near;
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://agent:p%40ss@127.0.0.1:${port}`,
    asked,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
