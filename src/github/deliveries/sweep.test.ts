import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from '../../../test/github-double/index.ts';
import { silentLogger } from '../../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { type GitHubApp, openGitHubApp } from '../app.ts';
import { sweepDeliveries } from './sweep.ts';

let database: TestDatabase;
let double: GitHubDouble;
let app: GitHubApp;
let server: Server;
/** What our server answers. */
let status = 500;
const arrived: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  double = await startGitHubDouble();
  const url = new URL(double.url);
  const opened = await openGitHubApp(
    {
      appId: double.appId,
      privateKey: double.privateKey,
      webhookSecret: double.webhookSecret,
      host: url.host,
      protocol: 'http',
    },
    silentLogger(),
  );
  if (!opened) throw new Error('The App did not open.');
  app = opened;
  server = createServer((request, response) => {
    request.resume().on('end', () => {
      if (status === 202) arrived.push(String(request.headers['x-github-delivery']));
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  double.setWebhookUrl(`http://127.0.0.1:${address.port}/`);
});
afterAll(async () => {
  await double.close();
  server.close();
  await database.drop();
});

/** Looks as if it were two minutes later: what is under way is left alone. */
const sweep = () => {
  const now = new Date(Date.now() + 120_000);
  return sweepDeliveries({ db: database.knex, app }, new Date(Date.now() - 3_600_000), now);
};

test('what GitHub could not deliver is asked for, once it can be taken; what arrived is not', async () => {
  await double.createRepository({ name: 'ida/app' });
  const lost = await double.push({ repo: 'ida/app', files: { a: '1' } });
  const guid = lost.deliveries[0]?.guid;
  status = 202;
  const taken = await double.push({ repo: 'ida/app', files: { a: '2' } });
  // Ours knows this one, though GitHub heard no answer.
  status = 500;
  const known = await double.push({ repo: 'ida/app', files: { a: '3' } });
  await database.knex('deliveries').insert({ id: known.deliveries[0]?.guid, event: 'push', payload: '{}' });
  status = 202;
  const before = arrived.length;
  expect(await sweep()).toBeGreaterThan(0);
  await double.waitFor(() => arrived.length > before && arrived.includes(guid ?? ''), {
    description: 'the redelivery',
  });
  expect(arrived.filter((one) => one === taken.deliveries[0]?.guid)).toHaveLength(1);
  expect(arrived).not.toContain(known.deliveries[0]?.guid);
  expect(await sweep()).toBe(0);
});

test('what fails whenever it comes is asked for three times', async () => {
  status = 500;
  await double.push({ repo: 'ida/app', files: { a: '4' } });
  const counts: number[] = [];
  for (let index = 0; index < 5; index++) {
    counts.push(await sweep());
    await double.waitFor(() => double.webhooks.deliveries.every((one) => one.statusCode !== undefined), {
      description: 'every delivery answered',
    });
  }
  expect(counts).toEqual([1, 1, 1, 0, 0]);
});
