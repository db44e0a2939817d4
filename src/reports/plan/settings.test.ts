import { describe, expect, test } from 'vitest';
import type { ReportFacts } from '../facts.ts';
import type { DesiredCheck } from '../types.ts';
import { planReports } from './plan.ts';
import { evaluation, facts, failedBuild, job, open, options } from './test-facts.ts';

function planned(change: Partial<ReportFacts>) {
  const reports = planReports(facts(change), options);
  const gate = reports.find((one): one is DesiredCheck => one.kind === 'check' && one.name === 'ringmaster');
  if (!gate) throw new Error('there is no gate');
  return { reports, gate, status: reports.find((one) => one.kind === 'status') };
}

const unevaluated = { evaluation: undefined, jobs: [] } as const;
const problems = [{ line: 3, message: "There is no setting 'tag'. Did you mean 'tags'?" }];

describe('a commit that the settings leave out', () => {
  test('is neutral when nothing relevant changed, with the filter and a way to run it', () => {
    const passedOver = { kind: 'irrelevant', reason: 'All 2 changed files are left out by `x`.' } as const;
    const { gate, status, reports } = planned({ ...unevaluated, passedOver });
    expect(gate).toMatchObject({
      status: 'completed',
      conclusion: 'neutral',
      title: 'Nothing relevant changed',
    });
    expect(gate.summary).toContain('All 2 changed files');
    expect(gate.actions?.map(({ label }) => label)).toEqual(['Evaluate anyway']);
    expect(status).toMatchObject({ state: 'success' });
    expect(reports).toHaveLength(2);
  });

  test('is not green while its pull request is held back', () => {
    const passedOver = { kind: 'held', reason: 'Drafts wait.' } as const;
    const { gate, status } = planned({ ...unevaluated, passedOver });
    expect(gate).toMatchObject({ conclusion: 'action_required' });
    expect(status).toMatchObject({ state: 'pending' });
  });

  test('can be approved where it comes from outside', () => {
    const passedOver = { kind: 'held', reason: 'Drafts wait.' } as const;
    const { gate } = planned({ ...unevaluated, passedOver, trust: 'needs-approval' });
    expect(gate.actions?.map(({ label }) => label)).toEqual(['Approve']);
  });

  test('says how it went when somebody had it evaluated after all', () => {
    const passedOver = { kind: 'irrelevant', reason: 'x' } as const;
    expect(planned({ passedOver }).gate.conclusion).toBe('success');
  });
});

describe('a settings file', () => {
  test('with mistakes is marked at its lines and keeps the gate from being green', () => {
    const { gate } = planned({ settingsReview: { place: 'in-force', problems, changes: [] } });
    expect(gate).toMatchObject({
      conclusion: 'failure',
      title: ".github/ringmaster.toml:3: There is no setting 'tag'. Did you mean 'tags'?",
      annotations: [{ path: '.github/ringmaster.toml', startLine: 3, level: 'failure' }],
    });
    expect(gate.summary).toContain('still in force');
  });

  test('is marked once, when the gate has ended', () => {
    const settingsReview = { place: 'in-force', problems, changes: [] } as const;
    const working = {
      evaluation: open('building'),
      settingsReview: { ...settingsReview, problems, changes: [] },
    };
    expect(planned(working).gate.annotations).toEqual([]);
  });

  test('does not hide what else went wrong', () => {
    const { gate } = planned({
      evaluation: evaluation({ state: 'failed' }),
      jobs: [job('a', { build: failedBuild() })],
      settingsReview: { place: 'proposed', problems, changes: [] },
    });
    expect(gate.title).toBe('1 of 1 attribute failed');
    expect(gate.summary).toContain('would not count');
  });

  test('that a pull request changes is told key by key, whatever its values hold', () => {
    const changes = [{ key: 'branches', from: '["a|b`@ada"]' }];
    const { gate } = planned({ settingsReview: { place: 'proposed', problems: [], changes } });
    expect(gate.conclusion).toBe('success');
    expect(gate.summary).toContain('| `branches` | ``["a\\|b`@ada"]`` | not set |');
  });
});

test('a repository that wants a status for each attribute gets them, whatever the server’s rule is', () => {
  expect(planned({ statuses: 'per-attribute' }).reports.filter(({ kind }) => kind === 'status')).toHaveLength(
    2,
  );
  expect(planned({}).reports.filter(({ kind }) => kind === 'status')).toHaveLength(1);
});
