/** Deliveries against the settings of their repository: what is asked, what is in force, what follows. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { newId, pullRequestTo, pushTo, repositoryOf, testDeliveries } from './test-deliveries.ts';

let database: TestDatabase;
/** What GitHub would answer. */
let files: Record<string, string> = {};
let head: string | undefined;
let changed: readonly string[] | undefined;
let asked: (string | undefined)[] = [];
let pullHead = '';

const { submissions, process } = testDeliveries(() => database.knex, {
  settingsFile: (ref) => {
    asked.push(ref);
    return files[ref ?? 'head'];
  },
  branchHead: () => head,
  changedFiles: () => changed,
  head: () => ({ sha: pullHead, repositoryId: 1, open: true }),
});

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(() => {
  files = {};
  asked = [];
  head = undefined;
  changed = undefined;
});

const sha = (digit: string) => digit.repeat(40);

/** A push of one commit after another one. */
function move(before: string, after: string, paths: readonly string[]) {
  const commit = { id: after, added: [], removed: [], modified: paths };
  return { before, after, created: false, forced: false, commits: [commit] };
}

async function evaluationsOf(commit: string): Promise<number> {
  const rows: unknown[] = await database
    .knex('evaluations')
    .join('revisions', 'revisions.id', 'evaluations.revision_id')
    .where('revisions.sha', commit);
  return rows.length;
}

async function reviewOf(commit: string): Promise<unknown> {
  const row: unknown = await database
    .knex('revisions')
    .select('settings_review')
    .where({ sha: commit })
    .first();
  return z.object({ settings_review: z.unknown() }).parse(row).settings_review;
}

describe('the settings file', () => {
  test('is asked for when it may have changed, at the commit that was pushed, and not otherwise', async () => {
    const repository = repositoryOf('ada');
    const installation = newId();
    const [a, b, c, d] = [sha('a'), sha('b'), sha('c'), sha('d')];
    const push = (more: Record<string, unknown>) => process('push', pushTo(repository, installation, more));
    await push({ ref: 'refs/heads/topic', after: sha('9') });
    expect(asked).toEqual([undefined]);
    head = a;
    await push(move(sha('0'), a, ['x']));
    await push(move(a, b, ['x']));
    expect(asked).toEqual([undefined, a]);
    files = { [c]: 'branches = ["trunk"]' };
    await push(move(b, c, ['.github/ringmaster.toml']));
    expect(asked).toEqual([undefined, a, c]);
    expect((await push({ ref: 'refs/heads/topic', after: sha('8') })).outcome).toContain(
      `matches no pattern of 'branches'`,
    );
    // Old news, delivered late, changes nothing.
    head = c;
    await push(move(sha('7'), sha('6'), ['x']));
    expect((await push({ ref: 'refs/heads/topic', after: sha('5') })).outcome).toContain('no pattern');
    // A forced push is looked into.
    head = d;
    await push({ ...move(c, d, ['x']), forced: true });
    expect(asked).toEqual([undefined, a, c, d]);
    expect((await push({ ref: 'refs/heads/topic', after: sha('8') })).outcome).toContain('Queued');
  });

  test('with mistakes changes nothing, and the commit that brings it says so', async () => {
    const repository = repositoryOf('bea');
    const installation = newId();
    const [a, b] = [`1${sha('a').slice(1)}`, `1${sha('b').slice(1)}`];
    files = { [a]: 'tags = ["v*"]', [b]: 'tags = 1' };
    await process('push', pushTo(repository, installation, { after: a }));
    await process('push', pushTo(repository, installation, move(a, b, ['.github/ringmaster.toml'])));
    expect(await reviewOf(b)).toMatchObject({ place: 'in-force', problems: [{ line: 1 }] });
    const tag = { ref: 'refs/tags/v1', after: sha('e'), head_commit: { id: b, message: 'Release' } };
    const { outcome } = await process('push', pushTo(repository, installation, tag));
    // The tag's own object is no commit.
    expect(outcome).toContain(`tag v1, commit ${b.slice(0, 12)}`);
    expect(submissions.at(-1)).toMatchObject({ sha: b, source: { kind: 'tag', gitRef: 'refs/tags/v1' } });
  });
});

describe('a pull request', () => {
  /** A repository with these settings, and pull requests to it. */
  async function repositoryWith(owner: string, settings: string) {
    const repository = repositoryOf(owner);
    const installation = newId();
    files = { head: settings };
    const send = (action: string, commit: string, more: Record<string, unknown> = {}) => {
      const payload = pullRequestTo(
        repository,
        installation,
        { id: repository.id, full_name: `${owner}/rockets` },
        action,
      );
      const { pull_request: pull } = payload;
      pullHead = commit;
      return process('pull_request', {
        ...payload,
        pull_request: { ...pull, head: { ...pull.head, sha: commit }, ...more },
      });
    };
    return { repository, installation, send };
  }

  test('that is a draft waits, is not green, and runs when it is ready', async () => {
    const { send } = await repositoryWith('cleo', 'pull_requests.drafts = false');
    const commit = `2${sha('a').slice(1)}`;
    expect((await send('opened', commit, { draft: true })).outcome).toMatch(/^Passed over: .* Drafts are/);
    expect(await evaluationsOf(commit)).toBe(0);
    expect((await send('ready_for_review', commit, { draft: false })).outcome).toMatch(/^Queued/);
    expect(await evaluationsOf(commit)).toBe(1);
  });

  test('runs when it gets the label that it needs', async () => {
    const { send } = await repositoryWith('dora', 'pull_requests.labels_required = ["ci"]');
    const commit = `3${sha('a').slice(1)}`;
    expect((await send('opened', commit)).outcome).toContain('labels_required');
    expect((await send('labeled', commit, { labels: [{ name: 'x' }] })).outcome).toMatch(/^Passed over/);
    expect((await send('labeled', commit, { labels: [{ name: 'ci' }] })).outcome).toMatch(/^Queued/);
  });

  test('is judged by all of its files, if they are still those of this commit', async () => {
    const { send, repository, installation } = await repositoryWith('erin', 'paths.exclude = ["docs/*"]');
    const [one, two] = [`4${sha('a').slice(1)}`, `4${sha('b').slice(1)}`];
    changed = ['docs/a'];
    expect((await send('opened', one)).outcome).toContain('paths.exclude');
    changed = ['docs/a', 'ci.nix'];
    expect((await send('synchronize', two)).outcome).toMatch(/^Queued/);
    // A branch that wants the commit is enough.
    const push = pushTo(repository, installation, { ref: 'refs/heads/topic', after: one });
    expect((await process('push', push)).outcome).toMatch(/^Queued/);
    expect(await evaluationsOf(one)).toBe(1);
  });

  test('that proposes settings shows them and is judged by those in force', async () => {
    const { send } = await repositoryWith('frank', 'paths.exclude = ["docs/*"]');
    const commit = `5${sha('a').slice(1)}`;
    changed = ['.github/ringmaster.toml'];
    files = { ...files, [commit]: 'paths.exclude = ["*"]' };
    expect((await send('opened', commit)).outcome).toMatch(/^Queued/);
    expect(await reviewOf(commit)).toEqual({
      place: 'proposed',
      problems: [],
      changes: [{ key: 'paths.exclude', from: '["docs/*"]', to: '["*"]' }],
    });
  });
});
