/** A PostgreSQL of the operator's own, shared by processes that divide the work. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase, testServers } from '../src/postgres/test-database.ts';
import { type GitHubDouble, startGitHubDouble } from './github-double/index.ts';
import { ciNix } from './support/nix-files.ts';
import { newDataDir, type Product, startProduct } from './support/product.ts';
import { conclusions, verdictOn } from './support/verdict.ts';

describe.each(testServers)('on $name, named by DATABASE_URL', (server) => {
  let double: GitHubDouble;
  let database: TestDatabase;
  let front: Product;
  let back: Product;
  let frontData: Awaited<ReturnType<typeof newDataDir>>;
  let backData: Awaited<ReturnType<typeof newDataDir>>;

  beforeAll(async () => {
    double = await startGitHubDouble();
    database = await createTestDatabase(server);
    [frontData, backData] = await Promise.all([newDataDir(), newDataDir()]);
    const env = { DATABASE_URL: database.url };
    back = await startProduct({
      double,
      dataDir: backData.path,
      env,
      args: ['--roles', 'evaluator,scheduler'],
    });
    front = await startProduct({ double, dataDir: frontData.path, env, args: ['--roles', 'web'] });
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

  test('when the process that builds is killed, the next one takes over what it left', async () => {
    const { sha } = await double.push({
      repo: 'divided/work',
      files: { 'ci.nix': ciNix('{ a = build "slow" "echo begun; sleep 3; echo > $out"; }') },
    });
    await expect
      .poll(async () => JSON.stringify(await front.json('/api/v1/queue')), { timeout: 30_000 })
      .toContain('"building"');
    await back.kill();
    back = await startProduct({
      double,
      dataDir: backData.path,
      env: { DATABASE_URL: database.url },
      args: ['--roles', 'evaluator,scheduler'],
    });
    expect((await verdictOn(double, sha)).get('ringmaster')?.conclusion).toBe('success');
  });
});
