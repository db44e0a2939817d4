/**
 * Connections through an HTTP proxy, by CONNECT. Node does that by itself only in versions newer
 * than the oldest that is supported.
 */
import { Agent as HttpAgent, request } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

type Environment = Readonly<Record<string, string | undefined>>;
const connectTimeoutMs = 30_000;

/** An agent for requests to one server, with connections kept alive. */
export function httpAgentFor(server: string, environment: Environment): HttpAgent | HttpsAgent {
  const target = new URL(server);
  const proxy = proxyFor(target, environment);
  const secure = target.protocol === 'https:';
  const options = { keepAlive: true, keepAliveMsecs: 15_000 };
  const agent = secure ? new HttpsAgent(options) : new HttpAgent(options);
  if (proxy === undefined) return agent;
  const port = target.port || (secure ? '443' : '80');
  agent.createConnection = (_options, callback) => {
    tunnel(proxy, `${target.hostname}:${port}`).then(
      (socket) => callback?.(null, secure ? connectTls({ socket, servername: target.hostname }) : socket),
      (error: Error) => callback?.(error, new Socket()),
    );
    return undefined;
  };
  return agent;
}

/** The proxy that the environment names for an address, as curl would understand it. */
export function proxyFor(target: URL, environment: Environment): URL | undefined {
  const read = (name: string) => environment[name] || environment[name.toUpperCase()];
  const excluded = (read('no_proxy') ?? '').split(',').map((entry) => entry.trim().replace(/^\./, ''));
  const host = target.hostname.replace(/^\[|\]$/g, '');
  const direct = excluded.some(
    (entry) => entry === '*' || (entry !== '' && (host === entry || host.endsWith(`.${entry}`))),
  );
  if (direct) return undefined;
  const named = read(target.protocol === 'https:' ? 'https_proxy' : 'http_proxy') ?? read('all_proxy');
  if (named === undefined) return undefined;
  return new URL(named.includes('://') ? named : `http://${named}`);
}

function tunnel(proxy: URL, target: string): Promise<Socket> {
  const credentials = decodeURIComponent(`${proxy.username}:${proxy.password}`);
  return new Promise((resolve, reject) => {
    const asked = request({
      host: proxy.hostname,
      port: proxy.port || 80,
      method: 'CONNECT',
      path: target,
      timeout: connectTimeoutMs,
      headers: {
        host: target,
        ...(credentials !== ':' && {
          'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}`,
        }),
      },
    });
    asked.once('connect', (answer, socket) => {
      if (answer.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new Error(`The proxy ${proxy.host} answered ${answer.statusCode}.`));
    });
    asked.once('timeout', () => asked.destroy(new Error(`The proxy ${proxy.host} does not answer.`)));
    asked.once('error', reject);
    asked.end();
  });
}
