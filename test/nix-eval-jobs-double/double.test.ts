/**
 * The double against runs of the real nix-eval-jobs (2.33.1 on Nix 2.34.8) that were recorded in
 * test/fixtures/nix-eval-jobs/. Texts of errors are Nix's, and differ between its versions.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type RunResult, runProcess } from '../../src/basics/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../src/nix/test-nix.ts';

const double = join(import.meta.dirname, 'nix-eval-jobs.mjs');
const fixtures = join(import.meta.dirname, '../fixtures/nix-eval-jobs');

let testNix: TestNix;
beforeAll(async () => {
  const [under] = nixesUnderTest;
  if (under === undefined) throw new Error('there is no Nix to test with');
  testNix = await openTestNix(under);
});
afterAll(() => testNix.close());

const run = (...args: string[]): Promise<RunResult> =>
  runProcess(double, args, { env: { ...testNix.nix.environment, PATH: process.env.PATH ?? '' } });

const line = z.looseObject({ attr: z.string(), error: z.string().optional() });

/** Lines by attribute; of errors only that they are errors. */
function comparable(jsonLines: string): ReadonlyMap<string, unknown> {
  const lines = jsonLines.split('\n').filter((text) => text !== '');
  return new Map(
    lines.map((text) => {
      const { attr, error } = line.parse(JSON.parse(text));
      return [attr, error === undefined ? text : Object.keys(JSON.parse(text))];
    }),
  );
}

const recorded = (name: string) => readFile(join(fixtures, name), 'utf8');

test.each([
  ['ci.jsonl', []],
  ['ci.meta.jsonl', ['--meta']],
  ['ci.force-recurse.jsonl', ['--force-recurse']],
])('the recorded run %s is reproduced, key by key', async (file, options) => {
  const { stdout, exitCode } = await run(...options, join(fixtures, 'ci.nix'));
  expect(exitCode).toBe(0);
  expect(comparable(stdout)).toEqual(comparable(await recorded(file)));
});

test.each([
  ['top.nix', /top/],
  ['syn.nix', /syntax error, unexpected end of file/],
])(
  'when the root of %s fails there is no line, exit status 1, and the reason twice',
  async (file, reason) => {
    const { stdout, stderr, exitCode } = await run(join(fixtures, file));
    expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 1 });
    const [first, second] = stderr.split('worker error:');
    expect(first).toMatch(reason);
    expect(second).toMatch(reason);
    expect(await recorded(file.replace('.nix', '.stderr'))).toMatch(/worker error:/);
  },
);

test.each([
  ['a plain number', '42'],
  ['an empty set', '{ }'],
  ['a list', '[ ]'],
])('%s at the root is silence and exit status 0', async (_, expression) => {
  const { stdout, exitCode } = await run('--expr', expression);
  expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 0 });
});

test('an option that the real one does not have is refused', async () => {
  const { stderr, exitCode } = await run('--no-such-option', '--expr', '{ }');
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/unrecognised flag '--no-such-option'/);
});

test('functions with defaults are called and functors too, as the real one does', async () => {
  const drv = 'derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; }';
  const { stdout } = await run(
    '--expr',
    `{ f = { n ? 1 }: ${drv}; g = { __functor = self: ${drv}; }; h = x: ${drv}; }`,
  );
  expect([...comparable(stdout).keys()]).toEqual(['f', 'g']);
});
