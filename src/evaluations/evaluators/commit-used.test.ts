/** Whether a result hangs on the commit, or on its files alone: the evaluators tell. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../basics/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../nix/test-nix.ts';
import type { EvaluationEvent } from '../events.ts';
import { createEvaluator, type Evaluator } from './create-evaluator.ts';
import {
  jobsUnderTest,
  makeTestFolder,
  requestFor,
  type TestFolder,
  writeCheckout,
} from './test-evaluation.ts';

const files = '{ name = "a"; system = "x86_64-linux"; builder = "/bin/sh"; files = src; }';
const evaluators = nixesUnderTest.flatMap((under) => [
  { name: `the built-in evaluator with ${under.name}`, under, prefer: 'built-in' as const },
  { name: `nix-eval-jobs with ${under.name}`, under, prefer: 'nix-eval-jobs' as const },
]);

describe.each(evaluators)('$name', ({ under, prefer }) => {
  let folder: TestFolder;
  let testNix: TestNix;
  let evaluator: Evaluator;
  beforeAll(async () => {
    folder = await makeTestFolder();
    testNix = await openTestNix(under);
    const { environment, layout } = testNix.nix;
    const nix = { env: environment, store: layout, ...jobsUnderTest(under) };
    evaluator = await createEvaluator({ nix, log: silentLogger(), prefer });
  });
  afterAll(async () => {
    await testNix.close();
    await folder.remove();
  });

  test.each([
    ['takes no argument', '{ a = d "a"; }', false],
    ['takes src and does not use it', '{ src ? null }: { a = d "a"; }', false],
    ['uses the files of src', `{ src }: { a = derivation ${files}; }`, false],
    ['names the commit', '{ src }: { a = d "a-${src.shortRev}"; }', true],
    ['asks for the branch', '{ src, ... }: if src.branch == "main" then { a = d "a"; } else { }', true],
    ['asks for the commit and fails', '{ src }: { a = throw src.rev; b = d "b"; }', true],
  ])('knows of code that %s whether it used the commit', async (_, code, used) => {
    const checkout = await writeCheckout(folder.path, code);
    let asked = false;
    const onCommitUsed = () => {
      asked = true;
    };
    const request = { ...requestFor(checkout), onCommitUsed };
    const events: EvaluationEvent[] = [];
    for await (const event of evaluator.evaluate(request)) events.push(event);
    expect(asked).toBe(used);
    expect(JSON.stringify(events)).not.toContain('Cnull');
    expect(events.some(({ type }) => type === 'job')).toBe(true);
  });
});
