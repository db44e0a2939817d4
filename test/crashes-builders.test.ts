/** What the death of any part costs while builds run on several machines: nothing but time. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../src/postgres/test-database.ts';
import { type GitHubDouble, startGitHubDouble } from './github-double/index.ts';
import {
  type CrashGround,
  chains,
  endsOfChains,
  findFaults,
  openCrashGround,
  resultsOf,
  victims,
} from './support/crash-ground.ts';
import { ciNix } from './support/nix-files.ts';
import { sshdMissing } from './support/sshd.ts';
import { verdictOn } from './support/verdict.ts';

const count = 10;

describe.skipIf(sshdMissing)('two servers and four machines on one database', () => {
  let double: GitHubDouble;
  let database: TestDatabase;
  let ground: CrashGround;

  beforeAll(async () => {
    [double, database] = await Promise.all([startGitHubDouble(), createTestDatabase()]);
    ground = await openCrashGround({ double, databaseUrl: database.url });
  });
  afterAll(async () => {
    await ground?.close();
    await database?.drop();
    await double?.close();
  });

  test('each is killed once: every build ends once, right, and never changes again', async () => {
    await double.createRepository({ name: 'deadly/acme' });
    const { sha } = await double.push({ repo: 'deadly/acme', files: { 'ci.nix': ciNix(chains(count)) } });
    const seen = new Map<string, string>();
    for (const [index, victim] of victims.entries()) {
      // Each in the middle of it: further than the one before, and long before the end.
      await expect
        .poll(async () => (await resultsOf(database.knex)).size, { timeout: 60_000 })
        .toBeGreaterThan(4 * index);
      for (const [job, result] of await resultsOf(database.knex)) seen.set(job, result);
      await ground.kill(victim);
    }
    expect((await verdictOn(double, sha, 90_000)).get('ringmaster')?.conclusion).toBe('failure');
    expect(await findFaults(database.knex)).toEqual([]);
    const last = await resultsOf(database.knex);
    const ends: Record<string, number> = {};
    for (const state of last.values()) ends[state] = (ends[state] ?? 0) + 1;
    expect(ends).toEqual(endsOfChains(count));
    for (const [job, result] of seen) expect(last.get(job)).toBe(result);
    expect([...ground.doubled]).toEqual([]);
  }, 180_000);
});
