/** The product as strangers meet it: what they write, replay and forge, and what GitHub takes away meanwhile. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
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
  story = await openStory();
  double = story.double;
  product = await story.start();
});
afterAll(() => story?.endWell());

test('markup, mentions and escapes in names, titles, errors and logs are dead text everywhere', async () => {
  await double.createRepository({ name: 'mallory/markup' });
  const markup = '<img src=x onerror=alert(1)> @octocat ``` |cell [x](javascript:alert(1))';
  const { sha } = await double.push({
    repo: 'mallory/markup',
    branch: 'a<script>`@octocat\u202e',
    message: `${markup} \u202e\u001b[31m`,
    files: {
      'ci.nix': ciNix(`{
        "${markup}" = build "named" "echo fine > $out";
        thrown = throw "${markup} \u202e";
        printed = build "printed" "echo '<script>alert(1)</script> ${markup.replaceAll('`', '\\`')}'; exit 1";
      }`),
    },
  });
  const checks = await verdictOn(double, sha);
  expect(checks.size).toBe(5);
  for (const { title, summary, text } of checks.values()) {
    // What remains when everything fenced or in inline code is taken away. Titles are no Markdown.
    const alive = `${summary}\n${text}`
      .replaceAll(/^(`{3,})[^`]*\n[\s\S]*?\n\1$/gm, '')
      .replaceAll(/(`+)(?!`).*?[^`]\1(?!`)/g, '');
    expect(alive).not.toMatch(/<img|<script|@octocat|javascript:/);
    expect(`${title}\n${summary}\n${text}`).not.toMatch(/\p{Bidi_Control}/u);
  }
  const page = `/mallory/markup/commit/${sha}`;
  for (const path of [page, `${page}/thrown`, `${page}/printed`, '/mallory/markup', '/', '/search?q=img']) {
    const html = await (await product.get(path)).text();
    expect(html, path).not.toMatch(/<img src=x|<script>|\p{Bidi_Control}/u);
  }
});

test('a commit pushed before its installation is suspended is tested when the suspension ends', async () => {
  await double.createRepository({ name: 'sue/app' });
  const { sha } = await double.push({
    repo: 'sue/app',
    files: { 'ci.nix': ciNix(`{ a = build "sue" "echo a > $out"; }`) },
    announce: false,
  });
  await double.announce('sue/app');
  await double.gestures.suspend('sue');
  await double.gestures.unsuspend('sue');
  expect(conclusions(await verdictOn(double, sha))).toMatchObject({ ringmaster: 'success' });
});

test('a fork’s commit that somebody pushes to a branch goes on from the approval it waited for', async () => {
  await double.createRepository({ name: 'fay/app' });
  const content = { 'ci.nix': ciNix(`{ a = build "fay" "echo a > $out"; }`) };
  await double.push({ repo: 'fay/app', files: content });
  const { headSha } = await double.openPullRequest({
    repo: 'fay/app',
    head: 'better',
    fork: 'stranger',
    author: 'stranger',
    files: { ...content, 'more.txt': 'more' },
  });
  expect(conclusions(await verdictOn(double, headSha))).toEqual({ ringmaster: 'action_required' });
  const payload = double.recorded.payload('push', undefined, {
    ref: 'refs/heads/adopted',
    after: headSha,
    deleted: false,
    repository: await repositoryFacts('fay/app'),
    installation: { id: double.installation('fay').id },
  });
  expect((await post('push', crypto.randomUUID(), JSON.stringify(payload))).status).toBe(202);
  await double.waitFor(() => double.latestCheckRuns(headSha).get('ringmaster')?.conclusion === 'success');
});

test('everything GitHub can send is taken, also twice, and no payload is a bug to us', async () => {
  const events = z
    .array(z.object({ name: z.string(), examples: z.array(z.unknown()) }))
    .parse(
      JSON.parse(readFileSync(createRequire(import.meta.url).resolve('@octokit/webhooks-examples'), 'utf8')),
    );
  for (let round = 0; round < 2; round++) {
    for (const { name, examples } of events) {
      for (const [index, example] of examples.entries()) {
        const id = `recorded-${name.replaceAll('_', '-')}-${index}`;
        expect((await post(name, id, JSON.stringify(example))).status, id).toBe(202);
      }
    }
  }
}, 60_000);

test.each([
  ['nothing', undefined],
  ['another secret', 'development'],
])('a delivery signed with %s is refused', async (_, secret) => {
  const answer = await post('push', crypto.randomUUID(), '{}', secret);
  expect(answer.status).toBe(401);
});

async function repositoryFacts(name: string): Promise<Record<string, unknown>> {
  const answer = await product.json(`/api/v1/projects/${name}`);
  const { githubRepositoryId } = z.object({ githubRepositoryId: z.number() }).parse(answer);
  return { id: githubRepositoryId, full_name: name, private: false, default_branch: 'main' };
}

/** Delivers as GitHub does; `undefined` leaves the signature out. */
async function post(
  event: string,
  id: string,
  body: string,
  ...given: readonly (string | undefined)[]
): Promise<Response> {
  const secret = given.length === 0 ? double.webhookSecret : given[0];
  const digest = secret === undefined ? undefined : createHmac('sha256', secret).update(body).digest('hex');
  return fetch(`${product.url}/api/github/webhooks`, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-github-event': event,
      'x-github-delivery': id,
      ...(digest === undefined ? {} : { 'x-hub-signature-256': `sha256=${digest}` }),
    },
  });
}
