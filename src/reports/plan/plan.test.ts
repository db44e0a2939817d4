import { describe, expect, it } from 'vitest';
import type { ReportFacts } from '../facts.ts';
import { attributeCheckName } from '../names.ts';
import type { DesiredCheck } from '../types.ts';
import { planReports } from './plan.ts';
import { build, evaluation, evaluationError, facts, failedBuild, job, open, options } from './test-facts.ts';

function checks(change: Partial<ReportFacts>): ReadonlyMap<string, DesiredCheck> {
  const planned = planReports(facts(change), options);
  return new Map(planned.flatMap((report) => (report.kind === 'check' ? [[report.name, report]] : [])));
}

function gate(change: Partial<ReportFacts>): DesiredCheck {
  const found = checks(change).get('ringmaster');
  if (!found) throw new Error('there is no gate');
  return found;
}

function attribute(change: Parameters<typeof job>[1]): DesiredCheck {
  const found = checks({ jobs: [job('hello', change)] }).get('ringmaster / hello');
  if (!found) throw new Error('the attribute has no check');
  return found;
}

const many = (count: number, change: (index: number) => Parameters<typeof job>[1] = () => ({})) =>
  Array.from({ length: count }, (_, index) => job(`a${String(index).padStart(4, '0')}`, change(index)));

describe('the gate', () => {
  it.each<[string, Partial<ReportFacts>, string, string | undefined, RegExp]>([
    ['has no evaluation yet', { evaluation: undefined, jobs: [] }, 'in_progress', undefined, /Waiting to be/],
    [
      'waits for git',
      { evaluation: open('queued', 'GitHub does not answer'), jobs: [] },
      'in_progress',
      undefined,
      /Waiting: GitHub does not answer/,
    ],
    [
      'evaluates',
      { evaluation: open('evaluating'), jobs: [] },
      'in_progress',
      undefined,
      /Evaluating nix\/ci/,
    ],
    [
      'builds',
      { evaluation: open('building'), jobs: [job('a'), job('b', { build: build({ state: 'building' }) })] },
      'in_progress',
      undefined,
      /Building: 1 building, 1 good/,
    ],
    ['is good', {}, 'completed', 'success', /1 attribute is good/],
    [
      'has a failed build',
      { evaluation: evaluation({ state: 'failed' }), jobs: [job('a'), job('b', { build: failedBuild() })] },
      'completed',
      'failure',
      /1 of 2 attributes failed/,
    ],
    [
      'has an attribute that does not evaluate',
      { evaluation: evaluation({ state: 'failed' }), jobs: [evaluationError(['a'], 'boom')] },
      'completed',
      'failure',
      /1 of 1 attribute failed/,
    ],
    [
      'could not be evaluated at all',
      {
        evaluation: evaluation({ state: 'failed', file: undefined }),
        jobs: [evaluationError([], 'no ci.nix')],
      },
      'completed',
      'failure',
      /Evaluation failed: no ci.nix/,
    ],
    [
      'has a failure that is allowed',
      { jobs: [job('a'), job('b', { mark: 'may-fail', build: failedBuild() })] },
      'completed',
      'success',
      /1 failed but may fail/,
    ],
    ['has nothing to build', { jobs: [] }, 'completed', 'success', /Nothing to build/],
    [
      'failed although no attribute did',
      { evaluation: evaluation({ state: 'failed' }) },
      'completed',
      'failure',
      /Evaluation failed/,
    ],
    [
      'was cancelled while it built',
      {
        evaluation: evaluation({ state: 'cancelled' }),
        jobs: [job('a', { build: build({ state: 'building' }) })],
      },
      'completed',
      'cancelled',
      /Cancelled: 1 cancelled/,
    ],
    [
      'was cancelled before it was evaluated',
      { evaluation: evaluation({ state: 'cancelled', evaluatedAt: undefined }), jobs: [] },
      'completed',
      'cancelled',
      /Cancelled/,
    ],
  ])('of a revision that %s', (_, change, status, conclusion, title) => {
    const planned = gate(change);
    expect(planned).toMatchObject({ status, title: expect.stringMatching(title) });
    expect(planned.conclusion).toBe(conclusion);
  });

  it('asks for an approval, says why, and lets nothing else run', () => {
    const change = {
      trust: 'needs-approval',
      trustReason: 'The pull request comes from the fork mallory/hello.',
    } as const;
    expect(gate(change)).toMatchObject({ status: 'completed', conclusion: 'action_required' });
    expect(gate(change).summary).toContain('the fork mallory/hello');
    expect([...checks(change).keys()]).toEqual(['ringmaster']);
  });

  it('names a comment that approves only where there is one', () => {
    const revision = facts({ trust: 'needs-approval' });
    const [without] = planReports(revision, options);
    const [withComment] = planReports(revision, { ...options, approveComment: '/ci approve' });
    expect(without).toMatchObject({ summary: expect.not.stringContaining('comment') });
    expect(withComment).toMatchObject({ summary: expect.stringContaining('comment `/ci approve`') });
  });

  it('names the files that were looked for when there is none', () => {
    const { summary } = gate({ evaluation: evaluation({ state: 'failed', file: undefined }), jobs: [] });
    expect(summary).toContain('no nix/ci.nix, no ci.nix, no default.nix');
  });

  it('lists the attributes, failed first, then running, queued and good', () => {
    const { text } = gate({
      evaluation: open('building'),
      jobs: [
        job('good'),
        job('queued', { build: build({ state: 'queued' }) }),
        job('running', { build: build({ state: 'building' }) }),
        job('failed', { build: failedBuild() }),
      ],
    });
    const order = ['`failed`', '`running`', '`queued`', '`good`'].map((name) => text?.indexOf(name) ?? -1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order[0]).toBeGreaterThan(0);
    expect(text).toContain(
      '](https://ci.example.org/acme/hello/commit/0123456789abcdef0123456789abcdef01234567/failed)',
    );
  });

  it('cuts a long table between rows, by bytes, and says how many are missing', () => {
    const { text = '' } = gate({
      jobs: many(3000, () => ({ build: failedBuild({ message: 'ä🎪'.repeat(40) }) })),
    });
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(65_535);
    expect(Buffer.byteLength(text)).toBeGreaterThan(64_000);
    const rows = text.split('\n').filter((line) => line.startsWith('| ❌'));
    expect(rows.every((row) => row.endsWith(' |'))).toBe(true);
    expect(text).toContain(`[${3000 - rows.length} more](https://ci.example.org/acme/hello/commit/`);
  });
});

describe('an attribute', () => {
  it.each<[string, Parameters<typeof job>[1], string, string | undefined, string]>([
    ['that was built', {}, 'completed', 'success', 'Built in 12 s'],
    ['that was there before', { cached: true, build: undefined }, 'completed', 'success', 'Already built'],
    [
      'that a cache had',
      { build: build({ attemptStatus: 'substituted' }) },
      'completed',
      'success',
      'Fetched from a cache in 12 s',
    ],
    ['that failed', { build: failedBuild() }, 'completed', 'failure', 'Failed with exit code 3'],
    [
      'whose dependency failed',
      {
        build: build({
          state: 'dependency-failed',
          culprit: { name: 'libfoo-1.2', state: 'failed', message: 'no' },
        }),
      },
      'completed',
      'failure',
      'Dependency failed: libfoo-1.2',
    ],
    [
      'that took too long',
      { build: build({ state: 'timed-out' }) },
      'completed',
      'timed_out',
      'Timed out after 12 s',
    ],
    ['that was cancelled', { build: build({ state: 'cancelled' }) }, 'completed', 'cancelled', 'Cancelled'],
    [
      'that may fail and did',
      { mark: 'may-fail', build: failedBuild() },
      'completed',
      'neutral',
      'Failed with exit code 3 (allowed to fail)',
    ],
    [
      'that must fail and did',
      { mark: 'must-fail', build: failedBuild() },
      'completed',
      'success',
      'Failed with exit code 3, as it must',
    ],
    [
      'that must fail and did not',
      { mark: 'must-fail' },
      'completed',
      'failure',
      'Built in 12 s, but it is marked as one that must fail',
    ],
  ])('%s', (_, change, status, conclusion, title) => {
    const planned = attribute(change);
    expect(planned).toMatchObject({ status, title });
    expect(planned.conclusion).toBe(conclusion);
  });

  it('shows the end of its log, without colours and unable to leave its fence', () => {
    const lines = ['\u001b[31mred\u001b[0m', '```', '</details> @everyone ![x](http://evil)', '50%\r100%'];
    const { text = '' } = attribute({
      build: failedBuild({ log: { attemptId: 1, lines, totalLines: 900 } }),
    });
    expect(text).toContain('Last 4 of 900 lines');
    expect(text).toContain('````\nred\n```\n</details> @everyone ![x](http://evil)\n100%\n````');
  });

  it('says how to have the same at home', () => {
    const path = ['checks', 'x86_64-linux', "it's.odd"];
    const found = checks({ jobs: [job(path)] }).get(attributeCheckName(path));
    expect(found?.summary).toContain(`nix-build nix/ci.nix -A 'checks.x86_64-linux."it'\\''s.odd"'`);
  });

  it('has a check of its own while there are at most 40', () => {
    expect(checks({ jobs: many(40) }).size).toBe(42);
  });

  it('has one only when it failed where there are more, for the first 40 by path', () => {
    const jobs = many(100, (index) => (index % 2 === 0 ? { build: failedBuild() } : {}));
    const names = [...checks({ jobs }).keys()];
    expect(names).toHaveLength(42);
    expect(names.slice(2)).toEqual(
      Array.from({ length: 40 }, (_, index) => `ringmaster / a${String(index * 2).padStart(4, '0')}`),
    );
  });

  it('keeps the check it was given when others fail that come before it', () => {
    const jobs = many(100, (index) => (index >= 50 ? { build: failedBuild() } : {}));
    const given = 'ringmaster / a0099';
    const names = [...checks({ jobs, reportedChecks: [given] }).keys()];
    expect(names).toContain(given);
    expect(names).toHaveLength(42);
  });

  it('that a newer evaluation does not have any more ends as neutral', () => {
    const found = checks({ reportedChecks: ['ringmaster', 'ringmaster / old'] }).get('ringmaster / old');
    expect(found).toMatchObject({ status: 'completed', conclusion: 'neutral' });
  });

  it('has no check before the evaluation has told how many there are', () => {
    expect([...checks({ evaluation: open('evaluating') }).keys()]).toEqual([
      'ringmaster',
      'ringmaster / evaluation',
    ]);
  });
});

describe('the evaluation', () => {
  it('marks errors and notices where they are in the files', () => {
    const found = checks({
      evaluation: evaluation({
        state: 'failed',
        notices: [{ type: 'notice', message: 'look', location: { file: 'ci.nix', line: 2 } }],
      }),
      jobs: [
        evaluationError(['b'], 'error: boom', { file: 'nix/ci.nix', line: 7 }),
        evaluationError(['c'], 'x'),
      ],
    }).get('ringmaster / evaluation');
    expect(found).toMatchObject({ conclusion: 'failure', title: '2 of 2 attributes did not evaluate' });
    expect(found?.annotations).toEqual([
      {
        path: 'nix/ci.nix',
        startLine: 7,
        endLine: 7,
        level: 'failure',
        title: 'b does not evaluate',
        message: 'error: boom',
      },
      { path: 'ci.nix', startLine: 2, endLine: 2, level: 'notice', message: 'look' },
    ]);
  });

  it('is good although a build failed', () => {
    const found = checks({
      evaluation: evaluation({ state: 'failed' }),
      jobs: [job('a', { build: failedBuild() })],
    }).get('ringmaster / evaluation');
    expect(found).toMatchObject({ conclusion: 'success', title: '1 attribute evaluated' });
  });

  it.each([
    ['abc1234'.padEnd(40, '0'), '1 attribute, known from commit abc1234', 'commit abc1234'],
    [facts().sha, '1 attribute, known from before', 'commit 0123456'],
  ])('says which commit with the same files it is known from', (knownFrom, title, words) => {
    const found = checks({ evaluation: evaluation({ knownFrom }) }).get('ringmaster / evaluation');
    expect(found?.title).toBe(title);
    expect(found?.summary).toContain(`[${words}](https://ci.example.org/acme/hello/commit/${knownFrom})`);
  });
});

describe('the commit status', () => {
  const status = (change: Partial<ReportFacts>) =>
    planReports(facts(change), options).find((report) => report.kind === 'status');

  it('summarises the revision under a name no check has', () => {
    expect(status({})).toMatchObject({ name: 'ringmaster/ci', state: 'success' });
    expect([...checks({}).keys()]).not.toContain('ringmaster/ci');
  });

  it('says the same while builds come and go, since every change would be another status', () => {
    const jobs = many(3, () => ({ build: build({ state: 'queued' }) }));
    const before = status({ evaluation: open('building'), jobs });
    const after = status({ evaluation: open('building'), jobs: [job('a0000'), ...jobs.slice(1)] });
    expect(before).toEqual(after);
    expect(before).toMatchObject({ state: 'pending', description: 'Building 3 attributes' });
  });
});

it('plans one status more for each attribute where the configuration asks for it', () => {
  const names = planReports(facts(), { ...options, statuses: 'per-attribute' })
    .filter((report) => report.kind === 'status')
    .map((report) => report.name);
  expect(names).toEqual(['ringmaster/ci', 'ringmaster/attribute/hello']);
});
