/** The main job, from a push to the verdict on GitHub, with real Nix builds. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { nixesUnderTest } from '../src/nix/test-nix.ts';
import type { GitHubDouble } from './github-double/index.ts';
import { bodyLine, ciNix } from './support/nix-files.ts';
import { type Notified, openNotified } from './support/notified.ts';
import type { Product } from './support/product.ts';
import { openStory, type Story } from './support/story.ts';
import { conclusions, verdictOn } from './support/verdict.ts';

const revisions = z.object({
  items: z.array(z.object({ sha: z.string(), evaluation: z.object({ id: z.number() }) })),
});

describe.each(nixesUnderTest)('with $name', (under) => {
  let story: Story;
  let double: GitHubDouble;
  let product: Product;
  let notified: Notified;

  beforeAll(async () => {
    notified = await openNotified();
    story = await openStory({
      env: () => ({ PATH: under.env.PATH ?? '', RINGMASTER_CONFIG: notified.configuration }),
      ...(under === nixesUnderTest[0] && { database: 'built-in' }),
    });
    double = story.double;
    product = await story.start();
  });
  afterAll(async () => {
    expect(await product?.stop()).toBe(0);
    // Nothing was asked of GitHub that it does not have, and no finished check was opened again.
    expect(double.journal.calls.filter((call) => call.unexpected || call.regression)).toEqual([]);
    await story?.end();
    await notified?.close();
  });

  describe('a push of good work', () => {
    test('turns green on GitHub: the gate, the evaluation, each attribute and the status', async () => {
      await double.createRepository({ name: 'green/acme', private: true });
      const { sha } = await double.push({
        repo: 'green/acme',
        message: 'Add three jobs\n\nand a long story',
        files: {
          'ci.nix': ciNix(`rec {
            lib = build "lib" "echo made by the builder; echo lib > $out";
            app = build "app" "echo using \${lib}; echo app > $out";
            checks = { recurseForDerivations = true; "with.dot" = build "dotted" "echo ok > $out"; };
          }`),
        },
      });
      const checks = await verdict(sha);
      expect(conclusions(checks)).toEqual({
        ringmaster: 'success',
        'ringmaster / evaluation': 'success',
        'ringmaster / app': 'success',
        'ringmaster / checks."with.dot"': 'success',
        'ringmaster / lib': 'success',
      });
      expect(double.latestStatuses(sha).get('ringmaster/ci')?.state).toBe('success');
      expect(
        double.callsTo('POST', '/repos/:owner/:repo/check-runs').every((call) => call.status === 201),
      ).toBe(true);
    });

    test('is fetched with a token for this repository alone, reading alone, that is given back', async () => {
      const narrowed = double
        .callsTo('POST', '/app/installations/:id/access_tokens')
        .filter((call) => JSON.stringify(call.body).includes('contents'));
      expect(narrowed.length).toBeGreaterThan(0);
      for (const call of narrowed) {
        expect(call.body).toMatchObject({ permissions: { contents: 'read' } });
        expect(JSON.stringify(call.body)).toMatch(/"repository_ids":\[\d+\]/);
      }
      expect(double.callsTo('DELETE', '/installation/token').length).toBe(narrowed.length);
    });

    test('that changes nothing is green again without building', async () => {
      const same = ciNix('{ job = build "job" "echo built >&2; echo $RANDOM > $out"; }');
      await double.createRepository({ name: 'same/acme' });
      const first = await double.push({ repo: 'same/acme', files: { 'ci.nix': same } });
      expect((await verdict(first.sha)).get('ringmaster / job')?.title).toMatch(/^Built/);
      const second = await double.push({ repo: 'same/acme', files: { 'README.md': 'words' } });
      const checks = await verdict(second.sha);
      expect(checks.get('ringmaster')?.conclusion).toBe('success');
      expect(checks.get('ringmaster / job')?.title).toMatch(/^Already built/);
      const third = await double.push({ repo: 'same/acme', files: {}, message: 'Nothing at all' });
      const known = await verdict(third.sha);
      expect(conclusions(known)).toEqual(conclusions(checks));
      expect(known.get('ringmaster / evaluation')?.title).toBe(
        `1 attribute, known from commit ${second.sha.slice(0, 7)}`,
      );
    });

    test('that changes a part of it says what and why: on the gate, the page and in the API', async () => {
      const repo = 'part/acme';
      const nonce = randomUUID();
      const files = (lib: string, more: string) => ({
        'ci.nix': ciNix(
          `rec { kept = build "kept" "echo > $out";
             lib = build "lib" "echo ${lib} > $out"; app = build "app" "cat \${lib} > $out"; ${more} }`,
          nonce,
        ),
      });
      await double.createRepository({ name: repo });
      const base = await double.push({ repo, files: files('one', 'old = build "old" "echo > $out";') });
      await verdict(base.sha);
      const { sha } = await double.push({ repo, files: files('two', 'new = build "new" "echo > $out";') });
      await verdict(sha);
      const counts = '1 removed, 1 added, 2 rebuilt, 1 unchanged';
      // The comparison may come after the verdict, which is not kept waiting for it.
      const gate = () => double.latestCheckRuns(sha).get('ringmaster');
      const text = () => `${gate()?.summary}\n${gate()?.text}`;
      await double.waitFor(() => text().includes(counts), { description: 'what the gate says has changed' });
      expect(text()).toContain(`Compared with [\`${base.sha.slice(0, 7)}\`]`);
      const page = await (await product.get(`/${repo}/commit/${sha}`)).text();
      expect(page).toContain(`Changes: ${counts}`);
      expect(page).toContain('arguments of lib');
      const { items } = revisions.parse(await product.json(`/api/v1/projects/${repo}/revisions`));
      const id = items.find((one) => one.sha === sha)?.evaluation.id;
      const cause = { kind: 'part', name: 'arguments', of: 'lib', from: null, to: null };
      expect(await product.json(`/api/v1/evaluations/${id}/changes`)).toMatchObject({
        base: { sha: base.sha, branch: 'main' },
        items: [
          { kind: 'removed', path: ['old'] },
          { kind: 'added', path: ['new'] },
          { kind: 'rebuilt', path: ['app'], cause },
          { kind: 'rebuilt', path: ['lib'], cause },
        ],
      });
    });
  });

  describe('a push of bad work', () => {
    test('says what failed and where, and still builds the rest', async () => {
      await double.createRepository({ name: 'red/acme' });
      const { sha } = await double.push({
        repo: 'red/acme',
        files: {
          'nix/ci.nix': ciNix(`rec {
            typo = builtins.throw "no such thing";
            good = build "good" "echo fine > $out";
            bad = build "bad" "echo about to fail; echo '\`\`\`'; exit 3";
            needs-bad = build "needs-bad" "cat \${bad} > $out";
          }`),
        },
      });
      const checks = await verdict(sha);
      expect(conclusions(checks)).toEqual({
        ringmaster: 'failure',
        'ringmaster / evaluation': 'failure',
        'ringmaster / good': 'success',
        'ringmaster / bad': 'failure',
        'ringmaster / needs-bad': 'failure',
        'ringmaster / typo': 'failure',
      });
      const annotation = checks.get('ringmaster / evaluation')?.annotations[0];
      expect(annotation).toMatchObject({
        path: 'nix/ci.nix',
        start_line: bodyLine + 1,
        annotation_level: 'failure',
      });
      expect(annotation?.message).toContain('no such thing');
      expect(checks.get('ringmaster / bad')?.title).toContain('exit code 3');
      expect(checks.get('ringmaster / bad')?.text).toContain('about to fail');
      expect(checks.get('ringmaster / needs-bad')?.title).toContain('bad');
      expect(double.latestStatuses(sha).get('ringmaster/ci')?.state).toBe('failure');
      // Nobody has to look at GitHub to know.
      expect(await notified.of(sha)).toMatchObject({ event: 'broken', project: 'red/acme' });
    });

    test.each([
      ['no file to evaluate', { 'README.md': 'nothing here' }, /nix\/ci\.nix.*ci\.nix.*default\.nix/s],
      ['a syntax error', { 'ci.nix': '{ a = ; }' }, /syntax error/],
      ['a list at the root', { 'default.nix': '[ ]' }, /list/],
      ['a file that is no Nix at all', { 'ci.nix': '\0\u0001' }, /./],
    ])('ends the gate when there is %s', async (_, files, reason) => {
      const repo = `bad-work/${Object.keys(files).length}-${Math.abs(hash(JSON.stringify(files)))}`;
      await double.createRepository({ name: repo });
      const { sha } = await double.push({ repo, files });
      const checks = await verdict(sha);
      expect(checks.get('ringmaster')?.conclusion).toBe('failure');
      const evaluation = checks.get('ringmaster / evaluation');
      expect(`${evaluation?.title}\n${evaluation?.summary}\n${evaluation?.text}`).toMatch(reason);
    });
  });

  describe('pull requests', () => {
    test('from a fork wait for a person, and nothing of theirs is fetched or run', async () => {
      await double.createRepository({ name: 'forked/acme' });
      const base = await double.push({ repo: 'forked/acme', files: { 'ci.nix': ciNix('{ }') } });
      await verdict(base.sha);
      const clones = () =>
        double.journal.calls.filter((call) => call.path.includes('forked/acme.git')).length;
      const before = clones();
      const opened = await double.openPullRequest({
        repo: 'forked/acme',
        fork: 'stranger',
        head: 'improve',
        files: { 'ci.nix': ciNix('{ evil = build "evil" "echo mined > $out"; }') },
      });
      const checks = await verdict(opened.headSha);
      expect(conclusions(checks)).toEqual({ ringmaster: 'action_required' });
      expect(`${checks.get('ringmaster')?.title} ${checks.get('ringmaster')?.summary}`).toContain('fork');
      expect(double.latestStatuses(opened.headSha).get('ringmaster/ci')?.state).toBe('pending');
      expect(clones()).toBe(before);
    });

    test('of the repository itself run, once for the push and the pull request together', async () => {
      await double.createRepository({ name: 'own/acme' });
      await double.push({ repo: 'own/acme', files: { 'ci.nix': ciNix('{ }') } });
      const opened = await double.openPullRequest({
        repo: 'own/acme',
        head: 'feature',
        files: { 'ci.nix': ciNix('{ job = build "pr-job" "echo > $out"; }') },
      });
      const checks = await verdict(opened.headSha);
      expect(conclusions(checks)).toMatchObject({ ringmaster: 'success', 'ringmaster / job': 'success' });
      const gates = double.checkRuns(opened.headSha).filter((run) => run.name === 'ringmaster');
      expect(gates).toHaveLength(1);
    });
  });

  describe('deliveries', () => {
    test('that come twice, or again later, change nothing', async () => {
      await double.createRepository({ name: 'twice/acme' });
      const { sha, deliveries } = await double.push({
        repo: 'twice/acme',
        files: { 'ci.nix': ciNix('{ job = build "twice" "echo > $out"; }') },
      });
      await verdict(sha);
      const runs = double.checkRuns(sha).length;
      for (const delivery of deliveries) {
        const again = await double.webhooks.redeliver(delivery.id);
        expect(again.statusCode).toBe(202);
      }
      const marker = await double.push({ repo: 'twice/acme', files: { 'a.txt': 'a' } });
      await verdict(marker.sha);
      expect(double.checkRuns(sha)).toHaveLength(runs);
    });

    test('with a bad signature are refused with one short log line', async () => {
      const before = product.log.length;
      const body = JSON.stringify({ secret_payload: 'x'.repeat(10_000) });
      const answer = await fetch(`${product.url}/api/github/webhooks`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-github-event': 'push',
          'x-github-delivery': 'f0e1d2c3-0000-0000-0000-000000000000',
          'x-hub-signature-256': `sha256=${'0'.repeat(64)}`,
        },
        body,
      });
      expect([400, 401]).toContain(answer.status);
      const lines = product.log.slice(before).filter((line) => /signature/i.test(line));
      expect(lines).toHaveLength(1);
      expect(lines[0]?.length).toBeLessThan(500);
      expect(product.log.join('\n')).not.toContain('xxxxxxxxxx');
    });
  });

  function verdict(sha: string) {
    return verdictOn(double, sha);
  }
});

function hash(text: string): number {
  return [...text].reduce((sum, character) => (sum * 31 + (character.codePointAt(0) ?? 0)) | 0, 7);
}
