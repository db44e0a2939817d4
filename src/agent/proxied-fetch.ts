/** `fetch` that goes through the proxy that the environment names; Node's own does not ask for one. */
import {
  type ClientRequest,
  type Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Environment, proxyFor } from './proxy.ts';
import { httpAgentFor } from './proxy-agent.ts';

/** A connection on which nothing moves for so long is given up. Milliseconds. */
const silenceMs = 300_000;
const maxRedirects = 5;
const bodiless = new Set([204, 205, 304]);

/** For addresses and bodies that are strings, bytes or (asynchronous) iterables of bytes. */
export function createProxiedFetch(environment: Environment): typeof fetch {
  const agents = new Map<string, HttpAgent>();
  const agentFor = (url: URL) => {
    const agent = agents.get(url.origin) ?? httpAgentFor(url, environment);
    agents.set(url.origin, agent);
    return agent;
  };
  return async (input, init = {}) => {
    if (input instanceof Request) throw new TypeError('an address is needed');
    let url = new URL(input);
    const headers = new Headers(init.headers);
    for (let redirects = 0; ; redirects += 1) {
      if (proxyFor(url, environment) === undefined) return fetch(url, { ...init, headers });
      const answer = await perform(url, { ...init, headers }, agentFor(url));
      const next = redirectOf(answer, url);
      if (next === undefined || init.body != null || redirects === maxRedirects)
        return responseOf(answer, init);
      answer.resume();
      if (next.origin !== url.origin) headers.delete('authorization');
      url = next;
    }
  };
}

function perform(
  url: URL,
  init: RequestInit & { headers: Headers },
  agent: HttpAgent,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked: ClientRequest = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      agent,
      method: init.method ?? 'GET',
      headers: Object.fromEntries(init.headers),
      timeout: silenceMs,
      ...(init.signal && { signal: init.signal }),
    });
    asked.once('response', resolve);
    asked.once('timeout', () =>
      asked.destroy(new Error(`${url.host} said nothing for ${silenceMs / 1000} s`)),
    );
    // Stays: what breaks after the answer began is told by the answer.
    asked.on('error', reject);
    const { body } = init;
    if (typeof body === 'string' || body instanceof Uint8Array) asked.end(body);
    else if (body == null) asked.end();
    else if (typeof body === 'object' && Symbol.asyncIterator in body) {
      pipeline(Readable.from(body, { objectMode: false }), asked).catch(reject);
    } else asked.destroy(new TypeError('a body of bytes is needed'));
  });
}

function redirectOf({ statusCode = 0, headers: { location } }: IncomingMessage, from: URL): URL | undefined {
  if (statusCode < 300 || statusCode > 399 || !location || !URL.canParse(location, from.href))
    return undefined;
  return new URL(location, from);
}

function responseOf(answer: IncomingMessage, { method }: RequestInit): Response {
  const { statusCode: status = 0, statusMessage: statusText = '' } = answer;
  const headers = new Headers();
  for (let at = 0; at + 1 < answer.rawHeaders.length; at += 2) {
    headers.append(answer.rawHeaders[at] ?? '', answer.rawHeaders[at + 1] ?? '');
  }
  const empty = method === 'HEAD' || bodiless.has(status);
  if (empty) answer.resume();
  return new Response(empty ? null : answer, { status, statusText, headers });
}
