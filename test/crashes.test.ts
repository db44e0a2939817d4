/** What crashes and outages cost: nothing but time. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { GitHubDouble } from './github-double/index.ts';
import { ciNix } from './support/nix-files.ts';
import type { Product } from './support/product.ts';
import { openStory, type Story } from './support/story.ts';
import { conclusions, verdictOn } from './support/verdict.ts';

let story: Story;
let double: GitHubDouble;
let product: Product;

beforeAll(async () => {
  story = await openStory({ database: 'built-in' });
  double = story.double;
  product = await story.start();
});
afterAll(() => story?.end());

test('kill -9 in the middle of a build: the build is done again and the gate ends green', async () => {
  await double.createRepository({ name: 'killed/acme' });
  const { sha } = await double.push({
    repo: 'killed/acme',
    files: {
      'ci.nix': ciNix(`rec {
        slow = build "slow" "echo begun; sleep 4; echo > $out";
        after = build "after" "echo \${slow} > $out";
      }`),
    },
  });
  const build = await runningBuild('slow');
  await product.kill();
  product = await story.start();
  expect(conclusions(await verdictOn(double, sha))).toEqual({
    ringmaster: 'success',
    'ringmaster / evaluation': 'success',
    'ringmaster / slow': 'success',
    'ringmaster / after': 'success',
  });
  const slow = await buildOf(build);
  expect(slow.attempts.map((attempt) => attempt.state).sort()).toEqual(['ended', 'lost']);
  // Never two at once: the second began after the first was over.
  const [first, second] = [...slow.attempts].sort((a, b) => a.startedAt.localeCompare(b.startedAt));
  expect(second && first?.finishedAt && second.startedAt >= first.finishedAt).toBe(true);
  expect(double.checkRuns(sha).filter((run) => run.name === 'ringmaster')).toHaveLength(1);
});

test('kill -9 at any moment after the push: the gate ends all the same', async () => {
  await double.createRepository({ name: 'anytime/acme' });
  // From "delivery stored" to "being reported": the moments are spread over the whole way.
  for (const delayMs of [0, 150, 600]) {
    const { sha } = await double.push({
      repo: 'anytime/acme',
      files: { 'ci.nix': ciNix('{ a = build "a" "echo > $out"; b = build "b" "echo > $out; exit 1"; }') },
    });
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await product.kill();
    product = await story.start();
    expect(conclusions(await verdictOn(double, sha)), `killed after ${delayMs} ms`).toEqual({
      ringmaster: 'failure',
      'ringmaster / evaluation': 'success',
      'ringmaster / a': 'success',
      'ringmaster / b': 'failure',
    });
  }
}, 180_000);

test('GitHub away while everything happens: told when it is back', async () => {
  await double.createRepository({ name: 'away/acme' });
  const first = await double.push({ repo: 'away/acme', files: { 'ci.nix': ciNix('{ }') } });
  await verdictOn(double, first.sha);
  const { sha } = await double.push({
    repo: 'away/acme',
    files: { 'ci.nix': ciNix('{ a = build "a" "sleep 1; echo > $out"; }') },
  });
  const build = await runningBuild('a');
  await double.down();
  await expect.poll(async () => (await buildOf(build)).state, { timeout: 30_000 }).toBe('succeeded');
  await double.up();
  expect(conclusions(await verdictOn(double, sha))).toMatchObject({
    ringmaster: 'success',
    'ringmaster / a': 'success',
  });
});

test('git away when the commit is to be fetched: waits, says so, and goes on', async () => {
  await double.createRepository({ name: 'git-away/acme' });
  double.faults.inject({ kind: 'status', status: 502, path: /git-upload-pack|info\/refs/, times: 1 });
  const { sha } = await double.push({
    repo: 'git-away/acme',
    files: { 'ci.nix': ciNix('{ a = build "a" "echo > $out"; }') },
  });
  expect((await verdictOn(double, sha)).get('ringmaster')?.conclusion).toBe('success');
});

test('the built-in database killed in the middle of a build: it comes back and nothing is lost', async () => {
  await double.createRepository({ name: 'db-away/acme' });
  const { sha } = await double.push({
    repo: 'db-away/acme',
    files: { 'ci.nix': ciNix('{ a = build "long" "echo begun; sleep 3; echo > $out"; }') },
  });
  await runningBuild('long');
  process.kill(await postmasterOf(story.dataDir), 'SIGKILL');
  expect(conclusions(await verdictOn(double, sha))).toMatchObject({
    ringmaster: 'success',
    'ringmaster / a': 'success',
  });
});

const buildSchema = z.object({
  id: z.number(),
  name: z.string(),
  state: z.string(),
  attempts: z.array(
    z.object({ state: z.string(), startedAt: z.string(), finishedAt: z.string().nullable() }),
  ),
});
type Build = z.infer<typeof buildSchema>;

const queueSchema = z.object({
  items: z.array(z.object({ id: z.number(), name: z.string(), state: z.string() })),
});

/** Waits until a build of this name runs; returns its id. */
async function runningBuild(name: string): Promise<number> {
  let found: number | undefined;
  await expect
    .poll(
      async () => {
        const { items } = queueSchema.parse(await product.json('/api/v1/queue?limit=100'));
        found = items.find((build) => build.name === name && build.state === 'building')?.id;
        return found;
      },
      { timeout: 30_000 },
    )
    .toBeDefined();
  return found ?? 0;
}

async function buildOf(id: number): Promise<Build> {
  return buildSchema.parse(await product.json(`/api/v1/builds/${id}`));
}

async function postmasterOf(dataDir: string): Promise<number> {
  const text = await readFile(`${dataDir}/postgres/data/postmaster.pid`, 'utf8');
  return Number(text.split('\n')[0]);
}
