/** A repository that holds its own settings, and what GitHub shows of them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GitHubDouble } from './github-double/index.ts';
import { ciNix } from './support/nix-files.ts';
import type { Product } from './support/product.ts';
import { openStory, type Story } from './support/story.ts';
import { conclusions, verdictOn } from './support/verdict.ts';

let story: Story;
let double: GitHubDouble;
let product: Product;

const repo = 'ivy/settings';
const settingsFile = '.github/ringmaster.toml';
const settings = `branches = ["main", "release/*"]
tags = ["v*"]
statuses = "per-attribute"

[paths]
exclude = ["docs/*", "*.md"]
`;

beforeAll(async () => {
  story = await openStory({
    env: ({ url }) => ({ RINGMASTER_EVALUATION_ALLOWED_URIS: `git+${url}/,${url}/` }),
  });
  double = story.double;
  product = await story.start();
  await double.createRepository({ name: repo });
});
afterAll(() => story?.endWell());

function logged(words: string) {
  return expect.poll(() => product.log.some((line) => line.includes(words)), { timeout: 30_000 }).toBe(true);
}

test('the first push brings the settings that it is judged by', async () => {
  const files = { [settingsFile]: settings, 'ci.nix': ciNix('{ a = build "a" "echo a > $out"; }') };
  const { sha } = await double.push({ repo, files });
  expect(conclusions(await verdictOn(double, sha))).toMatchObject({ ringmaster: 'success' });
  await double.waitFor(() => double.latestStatuses(sha).get('ringmaster/attribute/a')?.state === 'success', {
    description: 'the status of its own that each attribute was to have',
  });
});

test('a push that changes nothing relevant ends neutral at once and names the filter', async () => {
  const reads = () => double.callsTo('GET', `/repos/:owner/:repo/contents/${settingsFile}`).length;
  const before = reads();
  const { sha } = await double.push({ repo, files: { 'docs/a.txt': 'words', 'README.md': 'words' } });
  const checks = await verdictOn(double, sha);
  expect(conclusions(checks)).toEqual({ ringmaster: 'neutral' });
  const gate = checks.get('ringmaster');
  expect(gate?.summary).toContain('paths.exclude = ["docs/*","*.md"]');
  expect(gate?.actions.map(({ label }) => label)).toEqual(['Evaluate anyway']);
  // It did not touch the settings, so nobody asked for them.
  expect(reads()).toBe(before);

  // A tag that is wanted wants the commit after all.
  await double.tag(repo, 'v1.0', sha);
  await double.waitFor(() => double.latestCheckRuns(sha).get('ringmaster')?.conclusion === 'success', {
    timeoutMs: 60_000,
    description: 'the gate of the tag',
  });
});

test('branches and tags that no pattern names are left alone', async () => {
  const wip = await double.push({ repo, branch: 'wip', files: { x: '1' } });
  await double.tag(repo, 'nightly');
  await logged(`the branch wip matches no pattern of 'branches'`);
  await logged(`the tag nightly matches no pattern of 'tags'`);
  expect(double.checkRuns(wip.sha)).toEqual([]);
  const release = await double.push({ repo, branch: 'release/1', files: { x: '2' } });
  expect(conclusions(await verdictOn(double, release.sha))).toMatchObject({ ringmaster: 'success' });
});

test('a pull request that edits the file shows what would change, and is judged by the old rules', async () => {
  const opened = await double.openPullRequest({
    repo,
    head: 'looser',
    files: { [settingsFile]: settings.replace('exclude = ["docs/*", "*.md"]', 'exclude = ["*"]') },
  });
  const checks = await verdictOn(double, opened.headSha);
  const gate = checks.get('ringmaster');
  expect(gate?.conclusion).toBe('success');
  expect(gate?.summary).toContain('| `paths.exclude` | `["docs/*","*.md"]` | `["*"]` |');
});

test('a file with mistakes is marked at its lines, and the settings of before hold on', async () => {
  const broken = settings.replace('tags =', 'tag =').replace('exclude =', 'exclude = 1 #');
  const { sha } = await double.push({ repo, files: { [settingsFile]: broken } });
  const gate = (await verdictOn(double, sha)).get('ringmaster');
  expect(gate?.conclusion).toBe('failure');
  expect(gate?.title).toContain(`${settingsFile}:2: There is no setting 'tag'. Did you mean 'tags'?`);
  expect(gate?.annotations).toMatchObject([
    { path: settingsFile, start_line: 2, annotation_level: 'failure' },
    { path: settingsFile, start_line: 6, message: expect.stringContaining(`'paths.exclude' must be a list`) },
  ]);
  const docs = await double.push({ repo, files: { 'docs/b.txt': 'words' } });
  const still = (await verdictOn(double, docs.sha)).get('ringmaster');
  expect(still?.conclusion).toBe('neutral');
  expect(still?.summary).toContain('still in force');
});

test('a private repository is pinned by another one, as soon as its own settings share it', async () => {
  await double.createRepository({ name: 'ivy/library', private: true });
  await double.createRepository({ name: 'ivy/app', private: true });
  const library = await double.push({ repo: 'ivy/library', files: { 'default.nix': '"shared"' } });
  const fetched = `builtins.fetchGit { url = "${double.url}/ivy/library"; rev = "${library.sha}"; ref = "main"; }`;
  const app = await double.push({
    repo: 'ivy/app',
    files: {
      [settingsFile]: 'pins = ["ivy/library"]',
      'ci.nix': ciNix(`{ a = build "a" "echo ${'$'}{import (${fetched})} > $out"; }`),
    },
  });
  const refused = await verdictOn(double, app.sha);
  expect(refused.get('ringmaster')?.conclusion).toBe('failure');
  await double.push({ repo: 'ivy/library', files: { [settingsFile]: 'shared_with = ["ivy/app"]' } });
  const again = await double.push({ repo: 'ivy/app', files: { 'README.md': 'It is shared now.' } });
  expect(conclusions(await verdictOn(double, again.sha))).toMatchObject({ ringmaster: 'success' });
  const tokens = [...double.world.tokens.values()].map(({ value }) => value);
  expect(tokens.filter((token) => product.log.some((line) => line.includes(token)))).toEqual([]);
});
