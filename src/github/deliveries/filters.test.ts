import { describe, expect, test } from 'vitest';
import { parseSettingsFile } from '../../projects/index.ts';
import { filesOfPush, holdBack, irrelevance, isWantedBranch, isWantedTag } from './filters.ts';
import { pullRequestPayload, pushPayload } from './payloads.ts';
import { newId, pullRequestTo, pushTo, repositoryOf } from './test-deliveries.ts';

const settings = (text: string) => parseSettingsFile(text).settings;

describe('patterns', () => {
  test('name branches, slashes included; merge queues need no name', () => {
    const some = settings('branches = ["main", "release/*"]');
    expect(['main', 'release/1', 'release/1/2'].every((name) => isWantedBranch(some, name))).toBe(true);
    expect(isWantedBranch(some, 'mainly')).toBe(false);
    expect(isWantedBranch(some, 'gh-readonly-queue/main/pr-1-abc')).toBe(true);
    expect(isWantedBranch(settings('branches = []'), 'main')).toBe(false);
  });

  test('name tags, none unless there are some', () => {
    expect(isWantedTag(settings(''), 'v1')).toBe(false);
    expect(isWantedTag(settings('tags = ["v?"]'), 'v1')).toBe(true);
    expect(isWantedTag(settings('tags = ["v?"]'), 'v10')).toBe(false);
  });
});

describe('path filters', () => {
  const both = settings('[paths]\ninclude = ["*.nix", "src/*"]\nexclude = ["src/docs/*"]');

  test.each([
    ['an included file', ['flake.nix'], false],
    ['an included file in a folder', ['nix/a.nix'], false],
    ['an excluded file alone', ['src/docs/a.md'], true],
    ['a file that is not included', ['README.md'], true],
    ['one that matters among others', ['README.md', 'src/main.c'], false],
    ['nothing', [], false],
    ['what is not known', undefined, false],
  ])('%s', (_, files, passedOver) => {
    expect(irrelevance(both, files) !== undefined).toBe(passedOver);
  });

  test('tell which of them it was', () => {
    expect(irrelevance(both, ['README.md'])).toEqual({
      kind: 'irrelevant',
      reason:
        'The one changed file is left out by paths.include = ["*.nix","src/*"] and paths.exclude = ["src/docs/*"] in .github/ringmaster.toml.',
    });
    expect(irrelevance(settings(''), ['README.md'])).toBeUndefined();
  });
});

describe('what a push changed', () => {
  const of = (more: Record<string, unknown>) => {
    const payload = pushTo(repositoryOf('ada'), newId());
    const commit = { id: payload.after, added: ['a'], removed: ['b'], modified: ['a', 'c'] };
    const whole = { created: false, forced: false, commits: [commit] };
    return filesOfPush(pushPayload.parse({ ...payload, ...whole, ...more }));
  };
  const commits = (count: number) =>
    Array.from({ length: count }, () => ({ id: '0'.repeat(40), added: ['a'], removed: [], modified: [] }));

  test('are the files of its commits, each once', () => {
    expect(of({})).toEqual(['a', 'b', 'c']);
  });

  test.each([
    ['was forced', { forced: true }],
    ['made the branch', { created: true }],
    ['has no commits in its message', { commits: [] }],
    ['does not end with its head', { commits: commits(1) }],
    ['has more than 20 commits', { commits: commits(21) }],
    ['has commits without files', { commits: [{ id: '0'.repeat(40) }] }],
    ['says nothing of commits', { commits: undefined }],
  ])('is not known when it %s', (_, more) => {
    expect(of(more)).toBeUndefined();
  });
});

describe('a pull request is held back', () => {
  const of = (draft: boolean, ...labels: string[]) => {
    const payload = pullRequestTo(repositoryOf('bob'), newId(), null);
    const pull = { ...payload.pull_request, draft, labels: labels.map((name) => ({ name })) };
    return pullRequestPayload.parse({ ...payload, pull_request: pull }).pull_request;
  };

  test('as a draft, where drafts are to wait', () => {
    expect(holdBack(settings(''), of(true))).toBeUndefined();
    const waiting = settings('pull_requests.drafts = false');
    expect(holdBack(waiting, of(true))).toMatchObject({ kind: 'held' });
    expect(holdBack(waiting, of(false))).toBeUndefined();
  });

  test('without a label that it needs, or with one that keeps it out', () => {
    const rules = settings('[pull_requests]\nlabels_required = ["ci", "test"]\nlabels_ignored = ["wip"]');
    expect(holdBack(rules, of(false, 'test'))).toBeUndefined();
    expect(holdBack(rules, of(false))?.reason).toContain('labels_required = ["ci","test"]');
    expect(holdBack(rules, of(false, 'ci', 'wip'))?.reason).toContain('label wip');
  });
});
