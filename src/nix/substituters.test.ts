import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { watchSubstituters } from './substituters.ts';

let answered: string;
let server: ReturnType<typeof createServer>;

beforeEach(async () => {
  server = createServer((_, reply) => reply.writeHead(403).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  answered = `http://127.0.0.1:${port(server)}`;
});
afterEach(() => server.close());

test('keeps substituters that answer, whatever they answer, and drops those that nobody answers for', async () => {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const refused = `http://127.0.0.1:${port(closed)}`;
  await new Promise((resolve) => closed.close(resolve));
  const reachable = watch([`${answered}?priority=10`, refused, 'https://cache.invalid', 'file:///cache']);
  expect(await reachable()).toEqual([`${answered}?priority=10`, 'file:///cache']);
});

test('asks nobody where a proxy stands between', async () => {
  const reachable = watch(['https://cache.invalid'], { https_proxy: 'http://proxy.example' });
  expect(await reachable()).toEqual(['https://cache.invalid']);
});

test('asks once for many connections at the same time', async () => {
  let questions = 0;
  server.on('request', () => {
    questions += 1;
  });
  const reachable = watch([answered]);
  await Promise.all([reachable(), reachable(), reachable()]);
  expect(questions).toBe(1);
});

function watch(substituters: readonly string[], environment: Record<string, string> = {}) {
  return watchSubstituters({ substituters, environment, log: silentLogger() });
}

function port(listening: ReturnType<typeof createServer>): number {
  const address: AddressInfo | string | null = listening.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
