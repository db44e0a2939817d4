/** A PostgreSQL of the operator's own, shared by processes that divide the work. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase, testServers } from '../src/postgres/test-database.ts';
import { type GitHubDouble, startGitHubDouble } from './github-double/index.ts';
import { ciNix } from './support/nix-files.ts';
import { newDataDir, type Product, startProduct } from './support/product.ts';
import { conclusions, verdictOn } from './support/verdict.ts';

// An operator's, where there is one: most stories have the other's.
describe.each(testServers.slice(-1))('on $name, named by DATABASE_URL', (server) => {
  let double: GitHubDouble;
  let database: TestDatabase;
  let front: Product;
  let back: Product;
  let frontData: Awaited<ReturnType<typeof newDataDir>>;
  let backData: Awaited<ReturnType<typeof newDataDir>>;

  const startFront = () => start(frontData.path, 'web');
  const startBack = () => start(backData.path, 'evaluator,scheduler');
  function start(dataDir: string, roles: string): Promise<Product> {
    const env = { DATABASE_URL: database.url };
    return startProduct({ double, dataDir, env, args: ['--roles', roles] });
  }

  beforeAll(async () => {
    double = await startGitHubDouble();
    database = await createTestDatabase(server);
    [frontData, backData] = await Promise.all([newDataDir(), newDataDir()]);
    back = await startBack();
    front = await startFront();
  });
  afterAll(async () => {
    await Promise.all([front?.stop(), back?.stop()]);
    await database?.drop();
    await double?.close();
    await Promise.all([frontData?.remove(), backData?.remove()]);
  });

  test('one process takes the webhook in and another evaluates, builds and reports', async () => {
    await double.createRepository({ name: 'divided/work' });
    const { sha } = await double.push({
      repo: 'divided/work',
      files: { 'ci.nix': ciNix('{ a = build "a" "echo > $out"; }') },
    });
    expect(conclusions(await verdictOn(double, sha))).toMatchObject({
      ringmaster: 'success',
      'ringmaster / a': 'success',
    });
  });

  test('when both are killed amid builds and deliveries, the next ones take over what was begun and accepted', async () => {
    const { sha } = await double.push({
      repo: 'divided/work',
      files: { 'ci.nix': ciNix('{ a = build "slow" "echo begun; sleep 3; echo > $out"; }') },
    });
    await expect
      .poll(async () => JSON.stringify(await front.json('/api/v1/queue')), { timeout: 30_000 })
      .toContain('"building"');
    const payload = double.webhooks.deliveries.find(({ event }) => event === 'push')?.payload ?? {};
    const sent = Array.from({ length: 100 }, () => double.deliver('push', payload));
    // Some are answered and perhaps worked off, some are not.
    await Promise.any(sent.slice(10));
    await Promise.all([front.kill(), back.kill()]);
    const accepted = (await Promise.all(sent)).filter(({ statusCode }) => statusCode === 202);
    expect(accepted.length).toBeGreaterThan(0);
    [front, back] = await Promise.all([startFront(), startBack()]);
    expect((await verdictOn(double, sha)).get('ringmaster')?.conclusion).toBe('success');
    const done = () =>
      database
        .knex('deliveries')
        .whereIn(
          'id',
          accepted.map(({ guid }) => guid),
        )
        .whereNotNull('processed_at');
    await expect.poll(async () => (await done()).length, { timeout: 60_000 }).toBe(accepted.length);
  });
});
