import { createServer, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createProxiedFetch } from './proxied-fetch.ts';
import { proxyFor } from './proxy.ts';
import { startTestProxy, type TestProxy } from './test-proxy.ts';

let server: Server;
let proxy: TestProxy;

/** Answers with what it was asked, and sends those who ask for `/moved` away. */
beforeAll(async () => {
  server = createServer(async (request, answer) => {
    if (request.url === '/moved') {
      answer.writeHead(302, { location: 'http://elsewhere.invalid/there' }).end();
      return;
    }
    const { method, url, headers } = request;
    const body = await text(request);
    answer.end(
      JSON.stringify({
        method,
        url,
        host: headers.host,
        token: headers.authorization,
        length: headers['content-length'],
        body,
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  proxy = await startTestProxy({ 'ci.invalid:8080': port, 'elsewhere.invalid:80': port });
});
afterAll(async () => {
  await proxy.close();
  server.close();
});

test('what the environment says of proxies is understood as curl does', () => {
  const named = (target: string, environment: Record<string, string>) =>
    proxyFor(new URL(target), environment)?.host;
  const both = { HTTP_PROXY: 'http://plain:3128', https_proxy: 'secure:3129' };
  expect(named('http://ci.example.org', both)).toBe('plain:3128');
  expect(named('https://ci.example.org', both)).toBe('secure:3129');
  expect(named('https://ci.example.org', { ALL_PROXY: 'http://all' })).toBe('all');
  expect(named('https://ci.example.org', {})).toBeUndefined();
  const without = (no_proxy: string) => named('https://ci.example.org:8443', { ...both, no_proxy });
  for (const list of [
    '*',
    'example.org',
    'a, .example.org',
    '*.example.org',
    'ci.example.org:8443',
    'CI.example.org',
  ]) {
    expect(without(list), list).toBeUndefined();
  }
  for (const list of ['', 'ample.org', 'ci.example.org:443', 'www.ci.example.org', ',']) {
    expect(without(list), list).toBe('secure:3129');
  }
  expect(named('http://[::1]:80', { ...both, NO_PROXY: '::1' })).toBeUndefined();
  expect(() => named('http://a', { HTTP_PROXY: 'socks5://user:secret@host' })).toThrow(
    /^HTTP_PROXY is not the address of an HTTP proxy/,
  );
});

test('a server that only a proxy can reach is read from and written to, and others never see its token', async () => {
  const throughProxy = createProxiedFetch({ http_proxy: proxy.url });
  const headers = { authorization: 'Bearer secret' };
  const got = await throughProxy('http://ci.invalid:8080/a?b=c', { headers });
  expect(got.status).toBe(200);
  expect(await got.json()).toMatchObject({ url: '/a?b=c', host: 'ci.invalid:8080', token: 'Bearer secret' });

  const bytes = new TextEncoder().encode('whole');
  const put = await throughProxy('http://ci.invalid:8080/p', { method: 'PUT', body: bytes });
  expect(await put.json()).toMatchObject({ method: 'PUT', body: 'whole', length: '5' });

  const pieces = async function* () {
    yield Buffer.from('in ');
    yield Buffer.from('pieces');
  };
  const piped = await throughProxy('http://ci.invalid:8080/p', {
    method: 'PUT',
    body: pieces(),
    duplex: 'half',
  });
  expect(await piped.json()).toMatchObject({ body: 'in pieces' });

  const moved = await throughProxy('http://ci.invalid:8080/moved', { headers });
  const told: unknown = await moved.json();
  expect(told).toMatchObject({ url: '/there', host: 'elsewhere.invalid' });
  expect(told).not.toHaveProperty('token');

  const absent = await throughProxy('http://ci.invalid:8080/', { method: 'HEAD' });
  expect(await absent.text()).toBe('');
  expect(proxy.asked).toContain('GET http://ci.invalid:8080/a?b=c');
});

test('a proxy that refuses is told, and what is under way can be stopped', async () => {
  const unknown = createProxiedFetch({ https_proxy: proxy.url });
  await expect(unknown('https://nowhere.invalid/')).rejects.toThrow(/The proxy 127.0.0.1:\d+ answered 502/);
  const stranger = new URL(proxy.url);
  stranger.password = 'wrong';
  const refused = await createProxiedFetch({ http_proxy: stranger.href })('http://ci.invalid:8080/');
  expect(refused.status).toBe(407);
  const stopped = createProxiedFetch({ http_proxy: proxy.url });
  await expect(stopped('http://ci.invalid:8080/', { signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
});
