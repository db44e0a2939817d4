/**
 * The traversal rules against every evaluator on every Nix that is there. Set
 * RINGMASTER_TEST_MODERN_NIX to the bin directory of a newer Nix to run them on that as well.
 */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/basics/logging.ts';
import {
  createEvaluator,
  defaultEvaluationLimits,
  type EvaluationEvent,
  type Evaluator,
} from '../../src/evaluations/index.ts';
import { type Expectation, nodeCases, type Path, type TreeCase, treeCases } from './cases.ts';

const modernNix = process.env.RINGMASTER_TEST_MODERN_NIX;
const systemPath = process.env.PATH ?? '/usr/bin:/bin';

const nixes = [
  { nix: 'the Nix of this machine', path: systemPath },
  ...(modernNix ? [{ nix: 'the newer Nix', path: `${modernNix}:${systemPath}` }] : []),
];
const jobsDouble = join(import.meta.dirname, '../nix-eval-jobs-double/nix-eval-jobs.mjs');

const configuration = `
substituters =
build-users-group =
experimental-features = nix-command flakes
sandbox = true
sandbox-fallback = false
sandbox-paths = /bin/sh=/bin/busybox
`;

const prelude = `let
  d = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; };
  walk = set: set // { recurseForDerivations = true; };
in
`;

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'ringmaster-conformance-'));
});
afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

describe.each(nixes)('with $nix', ({ path }) => {
  describe.each(['built-in', 'nix-eval-jobs'] as const)('%s', (prefer) => {
    let evaluator: Evaluator;
    let events: readonly EvaluationEvent[];

    beforeAll(async () => {
      const env = {
        PATH: path,
        HOME: scratch,
        NIX_CONFIG: configuration,
        NIX_REMOTE: join(scratch, 'store'),
      };
      evaluator = await createEvaluator({
        nix: { env, nixEvalJobs: jobsDouble },
        log: silentLogger(),
        prefer,
      });
      // All values below one root, so that a crash of one of them would cost the others their jobs.
      const values = nodeCases.map(({ value }, index) => `  ${name(index)} = ${value};`).join('\n');
      events = await evaluate(evaluator, {
        checks: 'values',
        files: { 'ci.nix': `{\n${values}\n}`, name: '= said' },
      });
    });

    test('the evaluator tells which it is', () => {
      expect(evaluator.name).toMatch(
        prefer === 'built-in' ? /^built-in \(nix \d/ : /^nix-eval-jobs 2\.33\.1$/,
      );
    });

    for (const [index, one] of nodeCases.entries()) {
      test(one.checks, () => {
        const mine = events.filter((event) => 'path' in event && event.path[0] === name(index));
        expectFindings(mine, one, [name(index)]);
      });
    }

    for (const one of treeCases) {
      test(one.checks, async () => {
        const found = await evaluate(evaluator, one);
        expectFindings(found, one, []);
        expect(found.find((event) => event.type === 'started')?.file).toBe(
          one.file === '' ? undefined : (one.file ?? 'ci.nix'),
        );
        const notices = found.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
        if (one.notice) expect(notices.join('\n')).toMatch(one.notice);
        else expect(notices).toEqual([]);
      });
    }
  });
});

test.skipIf(modernNix)('the newer Nix is not tested: RINGMASTER_TEST_MODERN_NIX is not set', () => {});

const name = (index: number) => `case${index}`;

/** Compares paths of jobs and errors, whatever their order, and the messages that matter. */
function expectFindings(events: readonly EvaluationEvent[], expected: Expectation, prefix: Path): void {
  const spelled = (path: Path) => JSON.stringify(path);
  const errors = (expected.errors ?? []).map((error) =>
    isPathOnly(error) ? { path: error } : { path: error[0], words: error[1] },
  );
  const jobs = events.flatMap((event) => (event.type === 'job' ? [event] : []));
  const failures = events.flatMap((event) => (event.type === 'error' ? [event] : []));
  expect({
    jobs: jobs.map(({ path }) => spelled(path)).sort(),
    errors: failures.map(({ path }) => spelled(path)).sort(),
  }).toEqual({
    jobs: (expected.jobs ?? []).map((path) => spelled([...prefix, ...path])).sort(),
    errors: errors.map(({ path }) => spelled([...prefix, ...path])).sort(),
  });
  for (const { path, words } of errors) {
    const message =
      failures.find((event) => spelled(event.path) === spelled([...prefix, ...path]))?.message ?? '';
    expect(message).toMatch(words ?? /\S/);
    expect(message).not.toContain(scratch);
  }
  for (const job of jobs) {
    expect(job.drvPath).toMatch(/^\/nix\/store\/[a-z0-9]{32}-.+\.drv$/);
    expect(job.system).toMatch(/^(x86_64|aarch64)-linux$/);
    expect(job.outputs.out).toMatch(/^\/nix\/store\//);
  }
}

function isPathOnly(error: Path | readonly [Path, RegExp]): error is Path {
  return !(error[1] instanceof RegExp);
}

let checkouts = 0;

async function evaluate(evaluator: Evaluator, tree: TreeCase): Promise<readonly EvaluationEvent[]> {
  checkouts += 1;
  const checkout = join(scratch, `checkout-${checkouts}`, 'source');
  const files = typeof tree.files === 'string' ? { 'ci.nix': tree.files, name: '= said' } : tree.files;
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(checkout, file)), { recursive: true });
    if (text.startsWith('-> ')) await symlink(text.slice(3), join(checkout, file));
    else if (text.startsWith('= ')) await writeFile(join(checkout, file), text.slice(2));
    else await writeFile(join(checkout, file), text === '' ? '' : prelude + text);
  }
  const events: EvaluationEvent[] = [];
  const request = {
    checkout,
    source: { rev: '1234567890123456789012345678901234567890', ref: 'refs/heads/main', branch: 'main' },
    trusted: tree.trusted ?? true,
    limits: defaultEvaluationLimits,
    signal: new AbortController().signal,
  };
  for await (const event of evaluator.evaluate(request)) events.push(event);
  return events;
}
