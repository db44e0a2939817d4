/** The traversal rules against every evaluator on every Nix there is. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/basics/index.ts';
import {
  errorsOf,
  evaluateAll,
  jobsOf,
  jobsUnderTest,
  makeTestFolder,
  noticesOf,
  type TestFolder,
  writeCheckout,
} from '../../src/evaluations/evaluators/test-evaluation.ts';
import { createEvaluator, type EvaluationEvent, type Evaluator } from '../../src/evaluations/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../src/nix/test-nix.ts';
import { type Expectation, nodeCases, type Path, treeCases } from './cases.ts';

/** A file that cases read. */
const besides = { name: 'said' };

let folder: TestFolder;
beforeAll(async () => {
  folder = await makeTestFolder();
});
afterAll(() => folder.remove());

describe.each(nixesUnderTest)('with $name', (under) => {
  let testNix: TestNix;
  beforeAll(async () => {
    testNix = await openTestNix(under);
  });
  afterAll(() => testNix.close());

  describe.each(['built-in', 'nix-eval-jobs'] as const)('%s', (prefer) => {
    let evaluator: Evaluator;
    let events: readonly EvaluationEvent[];

    beforeAll(async () => {
      const { environment, layout } = testNix.nix;
      const nix = { env: environment, store: layout, ...jobsUnderTest(under) };
      evaluator = await createEvaluator({ nix, log: silentLogger(), prefer });
      // All values below one root, so that a crash of one of them would cost the others their jobs.
      const values = nodeCases.map(({ value }, index) => `  ${name(index)} = ${value};`).join('\n');
      events = await evaluateAll(
        evaluator,
        await writeCheckout(folder.path, { 'ci.nix': `{\n${values}\n}`, ...besides }),
      );
    });

    test('the evaluator tells which it is', () => {
      expect(evaluator.name).toMatch(prefer === 'built-in' ? /^built-in \(nix \d/ : /^nix-eval-jobs/);
    });

    for (const [index, one] of nodeCases.entries()) {
      test(one.checks, () => {
        const mine = events.filter((event) => 'path' in event && event.path[0] === name(index));
        expectFindings(mine, one, [name(index)]);
        for (const { limits, mark } of jobsOf(mine)) {
          expect({ limits, mark }).toEqual({ limits: one.limits, mark: one.mark ?? 'regular' });
        }
      });
    }

    for (const one of treeCases) {
      test.concurrent(one.checks, async () => {
        const files = typeof one.files === 'string' ? { 'ci.nix': one.files, ...besides } : one.files;
        const checkout = await writeCheckout(folder.path, files);
        const found = await evaluateAll(evaluator, checkout, { trusted: one.trusted ?? true });
        expectFindings(found, one, []);
        const file = found.find((event) => event.type === 'started')?.file;
        expect(file).toBe(one.file === '' ? undefined : (one.file ?? 'ci.nix'));
        const notices = noticesOf(found);
        if (one.notice) expect(notices.join('\n')).toMatch(one.notice);
        else expect(notices).toEqual([]);
      });
    }
  });
});

const name = (index: number) => `case${index}`;

/** Compares paths of jobs and errors, whatever their order, and the messages that matter. */
function expectFindings(events: readonly EvaluationEvent[], expected: Expectation, prefix: Path): void {
  const spelled = (path: Path) => JSON.stringify(path);
  const whole = (path: Path) => spelled([...prefix, ...path]);
  const errors = (expected.errors ?? []).map((error) =>
    isPathOnly(error) ? { path: error } : { path: error[0], words: error[1], place: error[2] },
  );
  const jobs = jobsOf(events);
  const failures = errorsOf(events);
  expect({
    jobs: jobs.map(({ path }) => spelled(path)).sort(),
    errors: failures.map(({ path }) => spelled(path)).sort(),
  }).toEqual({
    jobs: (expected.jobs ?? []).map(whole).sort(),
    errors: errors.map(({ path }) => whole(path)).sort(),
  });
  for (const { path, words, place } of errors) {
    const failure = failures.find((event) => spelled(event.path) === whole(path));
    const message = failure?.message ?? '';
    expect(message).toMatch(words ?? /\S/);
    expect(message, 'the cause is the first that is read').toMatch(/^(?:error: )?\S/);
    if (place !== undefined) expect(Object.values(failure?.location ?? {}).join(':')).toBe(place);
    expect(message, 'absolute paths mean nothing to readers').not.toContain(folder.path);
  }
  for (const job of jobs) {
    expect(job.drvPath).toMatch(/^\/nix\/store\/[a-z0-9]{32}-.+\.drv$/);
    expect(job.system).toMatch(/^(x86_64|aarch64)-linux$|^builtin$/);
    expect(job.outputs.out).toMatch(/^\/nix\/store\//);
  }
}

function isPathOnly(error: Path | readonly [Path, RegExp, place?: string]): error is Path {
  return !(error[1] instanceof RegExp);
}
