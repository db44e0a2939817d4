/** What maintainers do on GitHub besides pushing: buttons, commands in comments, merge queues, closing. */
import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { git as gitIn } from './github-double/git.ts';
import type { GitHubDouble } from './github-double/index.ts';
import { needRepository } from './github-double/world.ts';
import { ciNix } from './support/nix-files.ts';
import type { Product } from './support/product.ts';
import { openStory, type Story } from './support/story.ts';
import { conclusions, verdictOn } from './support/verdict.ts';

let story: Story;
let double: GitHubDouble;
let product: Product;

beforeAll(async () => {
  story = await openStory();
  double = story.double;
  product = await story.start();
});
afterAll(() => story?.endWell());

const good = () => ({ 'ci.nix': ciNix(`{ a = build "fine" "echo a > $out"; }`) });

async function gateOf(sha: string, wanted: (gate: { conclusion: string | null; status: string }) => boolean) {
  return double.waitFor(
    () => {
      const gate = double.latestCheckRuns(sha).get('ringmaster');
      return gate && wanted(gate) ? gate : undefined;
    },
    { timeoutMs: 60_000, description: `the gate of ${sha}` },
  );
}

function git(repo: string, args: readonly string[]): Promise<string> {
  return gitIn(needRepository(double.world, repo).directory, args);
}

function gitCalls(repo: string): number {
  return double.journal.calls.filter((call) => call.path.startsWith(`/${repo}.git`)).length;
}

/** A pull request from a stranger's fork that waits for its approval. */
async function strangersPullRequest(repo: string) {
  await double.createRepository({ name: repo });
  const { sha } = await double.push({ repo, files: good() });
  await verdictOn(double, sha);
  const opened = await double.openPullRequest({
    repo,
    head: 'better',
    fork: 'stranger',
    author: 'stranger',
    files: good(),
  });
  const fetches = gitCalls(repo);
  const gate = await gateOf(opened.headSha, ({ conclusion }) => conclusion === 'action_required');
  return { ...opened, gate, fetches };
}

/** Our comment on a pull request, once it says something. */
function answerOn(repo: string, number: number, words: RegExp) {
  return double.waitFor(
    () =>
      double.world.repositories &&
      [...double.world.repositories.values()]
        .find((one) => `${one.owner.login}/${one.name}` === repo)
        ?.comments.find((one) => one.number === number && one.user.type === 'Bot' && words.test(one.body)),
    { timeoutMs: 30_000, description: `an answer on ${repo}#${number}: ${words}` },
  );
}

test('a stranger’s commit runs when a maintainer presses Approve, and not when anybody else does', async () => {
  const { headSha, gate, fetches } = await strangersPullRequest('ann/approve');
  expect(gate.actions.map(({ label }) => label)).toEqual(['Approve']);
  await double.gestures.pressButton(gate, 'approve', 'stranger');
  // Nothing is fetched before somebody has looked.
  expect(gitCalls('ann/approve')).toBe(fetches);
  await double.gestures.pressButton(gate, 'approve', 'ann');
  await gateOf(headSha, ({ conclusion }) => conclusion === 'success');
  expect(conclusions(await verdictOn(double, headSha))).toMatchObject({ 'ringmaster / a': 'success' });
  expect(gitCalls('ann/approve')).toBeGreaterThan(fetches);
  // The next push waits for the next approval.
  const next = await double.synchronize('ann/approve', 1, { files: good() });
  await gateOf(next.sha, ({ conclusion }) => conclusion === 'action_required');
});

test('a comment approves the commit that its author has seen, and the answer names it', async () => {
  const repo = 'bea/comments';
  const { headSha, number } = await strangersPullRequest(repo);
  await double.gestures.comment({ repo, number, author: 'stranger', body: '/ci approve' });
  await double.gestures.comment({ repo, number, author: 'bea', body: '> /ci approve\n\nShould I?' });
  const { comment } = await double.gestures.comment({
    repo,
    number,
    author: 'bea',
    body: `Looks good.\n\n/ci approve ${headSha.slice(0, 10)}`,
  });
  await gateOf(headSha, ({ conclusion }) => conclusion === 'success');
  await answerOn(repo, number, new RegExp(`Approved commit ${headSha.slice(0, 12)}`));
  await double.waitFor(() => comment.reactions.some(({ content }) => content === 'rocket'), {
    description: 'the reaction',
  });
  // Another command edits the same comment of ours.
  await double.gestures.comment({ repo, number, author: 'bea', body: '/ci help\n/ci dance' });
  const answer = await answerOn(repo, number, /rerun \[failed\]/);
  expect(answer.body).toContain('There is no such command');
  expect(
    [...double.world.repositories.values()]
      .find((one) => one.name === 'comments')
      ?.comments.filter((one) => one.user.type === 'Bot'),
  ).toHaveLength(1);
});

test('thirty commands in a minute are not thirty comments', async () => {
  const repo = 'cleo/flood';
  const { number } = await strangersPullRequest(repo);
  const before = double.journal.calls.length;
  for (let index = 0; index < 30; index++) {
    await double.gestures.comment({ repo, number, author: 'cleo', body: '/ci help' });
  }
  await answerOn(repo, number, /rerun \[failed\]/);
  await double.waitFor(async () => (await product.json('/healthz')) !== undefined && !(await untold()), {
    timeoutMs: 30_000,
    description: 'all answers told',
  });
  const writes = double.journal.calls
    .slice(before)
    .filter((call) => call.path.includes('/issues/') && call.method !== 'GET');
  expect(writes.filter((call) => call.method === 'POST' && call.path.endsWith('/comments'))).toHaveLength(1);
  expect(writes.length).toBeLessThan(45);

  async function untold(): Promise<boolean> {
    const [comments = []] = [...double.world.repositories.values()]
      .filter((one) => one.name === 'flood')
      .map((one) => one.comments);
    return !comments.some((one) => one.user.type === 'Bot');
  }
});

test('Re-run tries again what failed, on GitHub’s button and on ours', async () => {
  const repo = 'dora/rerun';
  await double.createRepository({ name: repo });
  const { sha } = await double.push({
    repo,
    files: { 'ci.nix': ciNix(`{ a = build "a" "echo a > $out"; b = build "b" "echo no; exit 1"; }`) },
  });
  const first = await verdictOn(double, sha);
  expect(conclusions(first)).toMatchObject({ ringmaster: 'failure', 'ringmaster / b': 'failure' });
  const gate = first.get('ringmaster');
  const failed = first.get('ringmaster / b');
  if (!gate || !failed) throw new Error('no gate');
  expect(gate.actions.map(({ label }) => label)).toEqual(['Re-run failed']);
  /** The newest gate after that one, once it has ended; what failed was really tried again for it. */
  const gateAfter = async (earlier: number) => {
    const next = await double.waitFor(
      () => {
        const run = double.latestCheckRuns(sha).get('ringmaster');
        return run && run.id !== earlier && run.status === 'completed' ? run : undefined;
      },
      { timeoutMs: 60_000, description: 'another gate' },
    );
    const run = (await verdictOn(double, sha)).get('ringmaster / b');
    expect([next.conclusion, run?.conclusion]).toEqual(['failure', 'failure']);
    expect(`${run?.summary}${run?.text}`).not.toContain('Not tried again');
    return next;
  };
  await double.gestures.rerequestRun(failed, 'dora');
  const again = await gateAfter(gate.id);
  await double.gestures.pressButton(again, 'rerun-failed', 'dora');
  await gateAfter(again.id);
});

/** A pull request that is being built, and will be for ten minutes. */
async function longPullRequest(repo: string, author: string) {
  await double.createRepository({ name: repo });
  await double.push({ repo, files: { 'README.md': 'hello' } });
  const files = { 'ci.nix': ciNix(`{ a = build "long" "echo begun; sleep 600; echo a > $out"; }`) };
  const opened = await double.openPullRequest({ repo, head: 'better', author, files });
  await double.waitFor(
    () => double.latestCheckRuns(opened.headSha).get('ringmaster / a')?.status === 'in_progress',
    { timeoutMs: 60_000, description: `the build of ${repo}` },
  );
  return opened;
}

test('what is under way ends when somebody cancels it', async () => {
  const repo = 'ella/cancel';
  const { headSha, number } = await longPullRequest(repo, 'ella');
  await double.gestures.comment({ repo, number, author: 'ella', body: '/ci cancel' });
  expect(conclusions(await verdictOn(double, headSha))).toMatchObject({ ringmaster: 'cancelled' });
});

test('what is under way for a pull request ends when it is closed', async () => {
  const repo = 'elsa/close';
  const { headSha, number } = await longPullRequest(repo, 'elsa');
  await double.closePullRequest(repo, number);
  expect(conclusions(await verdictOn(double, headSha))).toMatchObject({ ringmaster: 'cancelled' });
});

test('a maintainer’s pull request from a fork needs no approval', async () => {
  const repo = 'fran/forks';
  await double.createRepository({ name: repo });
  await double.push({ repo, files: { 'README.md': 'hello' } });
  double.setRole(repo, 'max', 'write');
  const { headSha } = await double.openPullRequest({
    repo,
    head: 'better',
    fork: 'max',
    author: 'max',
    files: good(),
  });
  expect(conclusions(await verdictOn(double, headSha))).toMatchObject({ ringmaster: 'success' });
});

/** A download that promises another hash than it has, in the way that nixpkgs writes it. */
function download(hash: string, content: string): string {
  return ciNix(`{
  download = derivation {
    name = "download";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo ${content} > $out" ];
    outputHashMode = "flat";
    outputHash = "${hash}";
  };
}`);
}

const sri = (content: string) => `sha256-${createHash('sha256').update(`${content}\n`).digest('base64')}`;

test('a wrong hash is corrected on its branch by a button, and the commit with the right one is green', async () => {
  const repo = 'hana/download';
  await double.createRepository({ name: repo });
  const installation = double.installation('hana');
  installation.permissions = { ...installation.permissions, contents: 'write' };
  await double.push({ repo, files: { 'README.md': 'hello' } });
  const content = randomUUID();
  const files = { 'ci.nix': download(sri('something else'), content) };
  const { sha } = await double.push({ repo, branch: 'update', files });
  const check = (await verdictOn(double, sha)).get('ringmaster / download');
  expect(check?.actions.map(({ label }) => label)).toEqual(['Apply hash']);
  if (!check) throw new Error('no check');
  // Who may not write may not have it written.
  await double.gestures.pressButton(check, 'apply-hash', 'stranger');
  await double.gestures.pressButton(check, 'apply-hash', 'hana');
  const told = await double.waitFor(
    () => {
      const run = double.latestCheckRuns(sha).get('ringmaster / download');
      return run?.summary?.includes('has the new hash') && run;
    },
    { timeoutMs: 60_000, description: 'what came of the button' },
  );
  const head = await git(repo, ['rev-parse', 'refs/heads/update']);
  expect(told.summary).toContain(`Commit ${head.slice(0, 12)} on update has the new hash`);
  expect(told.actions).toEqual([]);
  expect(await git(repo, ['rev-list', '--count', `${sha}..${head}`])).toBe('1');
  expect(await git(repo, ['show', `${head}:ci.nix`])).toContain(sri(content));
  expect(conclusions(await verdictOn(double, head))).toMatchObject({ 'ringmaster / download': 'success' });
});

test('a merge queue’s group is evaluated once, though GitHub tells of it twice', async () => {
  const repo = 'gwen/queue';
  await double.createRepository({ name: repo });
  await double.push({ repo, files: { 'README.md': 'hello' } });
  const { number } = await double.openPullRequest({ repo, head: 'better', author: 'gwen', files: good() });
  const { sha, ref } = await double.gestures.enqueue(repo, number);
  const checks = await verdictOn(double, sha);
  expect(conclusions(checks)).toMatchObject({ ringmaster: 'success' });
  expect(double.checkRuns(sha).filter(({ name }) => name === 'ringmaster')).toHaveLength(1);
  await double.gestures.dequeue(repo, ref, 'merged');
});
