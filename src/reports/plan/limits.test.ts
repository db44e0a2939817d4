import fc from 'fast-check';
import { expect, it } from 'vitest';
import { limits, utf8Length } from '../limits.ts';
import { planReports } from './plan.ts';
import { evaluation, evaluationError, facts, failedBuild, job, options } from './test-facts.ts';

/** Written short, so that a counterexample can be read. */
const text = fc.record({
  unit: fc.constantFrom('`', '🎪', 'word ', '|\n', '\u001b[31m'),
  count: fc.constantFrom(1, 10, 1_000, 20_000),
});
const long = ({ unit, count }: { unit: string; count: number }) => unit.repeat(count);

const anyJob = fc.record({
  name: text,
  message: text,
  lines: fc.array(text, { maxLength: 4 }),
  error: fc.boolean(),
});

it('nothing that is planned goes over a limit of GitHub, whatever the repository says', () => {
  fc.assert(
    fc.property(fc.array(anyJob, { maxLength: 6 }), text, (drawn, waiting) => {
      const jobs = drawn.map(({ name, message, lines, error }, index) =>
        error
          ? evaluationError([`${index}`, long(name)], long(message), { file: 'ci.nix', line: 1 })
          : job([`${index}`, long(name)], {
              build: failedBuild({
                message: long(message),
                log: { attemptId: 1, lines: lines.map(long), totalLines: lines.length },
              }),
            }),
      );
      const planned = planReports(
        facts({
          jobs,
          evaluation: evaluation({ state: 'failed', waitingFor: long(waiting), file: long(waiting) }),
        }),
        { ...options, statuses: 'per-attribute' },
      );
      for (const report of planned) {
        if (report.kind === 'status') {
          expect(report.description.length).toBeLessThanOrEqual(limits.statusDescription);
          continue;
        }
        expect(utf8Length(report.summary)).toBeLessThanOrEqual(limits.outputBytes);
        expect(utf8Length(report.text ?? '')).toBeLessThanOrEqual(limits.outputBytes);
        expect(report.title).not.toBe('');
        expect(report.status === 'completed').toBe(report.conclusion !== undefined);
        for (const annotation of report.annotations)
          expect(utf8Length(annotation.message)).toBeLessThan(65_536);
      }
      expect(new Set(planned.map((report) => report.name)).size).toBe(planned.length);
    }),
    { numRuns: 15 },
  );
});

it('cuts what a dependency said, however long its one line is', () => {
  const culprit = {
    name: 'zlib',
    state: 'failed',
    message: `The builder said ${'no '.repeat(30_000)}`,
  } as const;
  const [check] = planReports(
    facts({
      evaluation: evaluation({ state: 'failed' }),
      jobs: [job('x', { build: failedBuild({ state: 'dependency-failed', culprit }) })],
    }),
    options,
  ).filter(({ name }) => name === 'ringmaster / x');
  expect(check?.kind === 'check' && check.summary).toContain('`zlib` did not build: `The builder said no');
});
