/** SIGTERM: what runs gets its time, what is left is queued again, and the next server goes on. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { GitHubDouble } from './github-double/index.ts';
import { ciNix } from './support/nix-files.ts';
import type { Product } from './support/product.ts';
import { openStory, type Story } from './support/story.ts';
import { verdictOn } from './support/verdict.ts';

let story: Story;
let double: GitHubDouble;
let product: Product;

beforeAll(async () => {
  story = await openStory();
  double = story.double;
  product = await story.start();
});
afterAll(() => story?.endWell());

test('SIGTERM in the middle of a build: it is finished, what waits for it is left to the next server', async () => {
  await double.createRepository({ name: 'stopped/acme' });
  const { sha } = await double.push({
    repo: 'stopped/acme',
    files: {
      'ci.nix': ciNix(`rec {
        slow = build "slow" "echo begun; sleep 3; echo > $out";
        after = build "after" "echo \${slow} > $out";
      }`),
    },
  });
  let slow: number | undefined;
  await expect
    .poll(
      async () => {
        slow = await buildingOf('slow');
        return slow;
      },
      { timeout: 30_000 },
    )
    .toBeDefined();
  expect(await product.stop()).toBe(0);
  product = await story.start();
  expect((await verdictOn(double, sha)).get('ringmaster')?.conclusion).toBe('success');
  // Begun once: `slow` was not built again.
  expect(await product.json(`/api/v1/builds/${slow}`)).toMatchObject({
    name: 'slow',
    attempts: [{ state: 'ended' }],
  });
});

test('SIGTERM while the server still looks for Nix: it ends at once and in order', async () => {
  await product.stop();
  product = await story.start();
  const begun = performance.now();
  expect(await product.stop()).toBe(0);
  // Waiting for builds that are not there would take 30 s.
  expect(performance.now() - begun).toBeLessThan(29_000);
});

const queue = z.object({
  items: z.array(z.object({ id: z.number(), name: z.string(), state: z.string() })),
});

/** The build of this name that is being built. */
async function buildingOf(name: string): Promise<number | undefined> {
  const { items } = queue.parse(await product.json('/api/v1/queue'));
  return items.find((build) => build.name === name && build.state === 'building')?.id;
}
