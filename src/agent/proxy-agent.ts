/**
 * Connections through an HTTP proxy: a tunnel (CONNECT) for https, whole addresses in requests for
 * http, since many proxies tunnel to port 443 only. Node does that by itself only in versions newer
 * than the oldest that is supported.
 */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Environment, proxyFor } from './proxy.ts';

declare module 'node:http' {
  interface Agent {
    /** How a request gets its connection; its header is not written yet. What proxy agents override. */
    addRequest(request: ClientRequest, options: RequestOptions): void;
  }
}

const connectTimeoutMs = 30_000;
const keptAlive = { keepAlive: true, keepAliveMsecs: 15_000 };

/** An agent for requests to one server, with connections kept alive. */
export function httpAgentFor(server: string | URL, environment: Environment): HttpAgent | HttpsAgent {
  const target = new URL(server);
  const proxy = proxyFor(target, environment);
  if (target.protocol === 'https:') {
    return proxy === undefined ? new HttpsAgent(keptAlive) : tunnellingAgent(proxy, target);
  }
  return proxy === undefined ? new HttpAgent(keptAlive) : forwardingAgent(proxy);
}

/** Asks the proxy for whole addresses. */
function forwardingAgent(proxy: URL): HttpAgent {
  const agent = proxy.protocol === 'https:' ? new HttpsAgent(keptAlive) : new HttpAgent(keptAlive);
  const addRequest = agent.addRequest.bind(agent);
  agent.addRequest = (asked, options) => {
    asked.path = `http://${asked.getHeader('host')}${asked.path}`;
    for (const [name, value] of Object.entries(credentialsFor(proxy))) asked.setHeader(name, value);
    addRequest(asked, { ...options, host: hostOf(proxy), port: portOf(proxy) });
  };
  return agent;
}

function tunnellingAgent(proxy: URL, target: URL): HttpsAgent {
  const agent = new HttpsAgent(keptAlive);
  const address = `${target.hostname}:${target.port || 443}`;
  agent.createConnection = (_options, callback) => {
    tunnel(proxy, address).then(
      (socket) => callback?.(null, connectTls({ socket, servername: target.hostname })),
      (error: Error) => callback?.(error, new Socket()),
    );
    return undefined;
  };
  return agent;
}

function tunnel(proxy: URL, target: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const asked = (proxy.protocol === 'https:' ? httpsRequest : httpRequest)({
      host: hostOf(proxy),
      port: portOf(proxy),
      method: 'CONNECT',
      path: target,
      timeout: connectTimeoutMs,
      headers: { host: target, ...credentialsFor(proxy) },
      agent: false,
    });
    asked.once('connect', (answer, socket) => {
      socket.setTimeout(0);
      if (answer.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new Error(`The proxy ${proxy.host} answered ${answer.statusCode} ${answer.statusMessage}.`));
    });
    asked.once('timeout', () => asked.destroy(new Error(`The proxy ${proxy.host} does not answer.`)));
    asked.once('error', reject);
    asked.end();
  });
}

function credentialsFor({ username, password }: URL): Readonly<Record<string, string>> {
  if (username === '' && password === '') return {};
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` };
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function portOf({ port, protocol }: URL): number {
  return Number(port || (protocol === 'https:' ? 443 : 80));
}
