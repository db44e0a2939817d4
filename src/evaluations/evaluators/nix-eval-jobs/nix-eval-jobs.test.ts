/** The evaluator over nix-eval-jobs when nix-eval-jobs misbehaves. It is the double in test/. */
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogger } from '../../../basics/index.ts';
import { createPendingDerivations, createTextWriter } from '../../../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../../nix/test-nix.ts';
import type { EvaluationEvent } from '../../events.ts';
import { createEvaluator, type Evaluator } from '../create-evaluator.ts';
import {
  errorsOf,
  evaluateAll,
  jobsOf,
  makeTestFolder,
  noticesOf,
  requestFor,
  type TestFolder,
  writeCheckout,
} from '../test-evaluation.ts';

const double = join(import.meta.dirname, '../../../../test/nix-eval-jobs-double/nix-eval-jobs.mjs');

let folder: TestFolder;
let testNix: TestNix;
let checkout: string;
beforeAll(async () => {
  folder = await makeTestFolder();
  const [under] = nixesUnderTest;
  if (under === undefined) throw new Error('there is no Nix to test with');
  testNix = await openTestNix(under);
  checkout = await writeCheckout(
    folder.path,
    '{ a = d "a"; b = d "b"; s = walk { c = d "c"; e = throw "e"; "x.y" = d "xy"; }; }',
  );
});
afterAll(async () => {
  await testNix.close();
  await folder.remove();
});

let programs = 0;

/** The double with faults, as a program of its own: evaluators do not inherit an environment. */
async function faulty(faults: Readonly<Record<string, string>>): Promise<string> {
  programs += 1;
  const program = join(folder.path, faults.FOLDER ?? '', `nix-eval-jobs-${programs}`);
  await mkdir(dirname(program), { recursive: true });
  const settings = Object.entries(faults).map(([name, value]) => `export DOUBLE_${name}='${value}'\n`);
  await writeFile(program, `#!/bin/sh\n${settings.join('')}exec '${double}' "$@"\n`);
  await chmod(program, 0o755);
  return program;
}

const linesTo = (said: string[]) =>
  new Writable({
    write(line, _, done) {
      said.push(String(line));
      done();
    },
  });

async function evaluatorWith(
  faults: Readonly<Record<string, string>>,
  prefer?: 'nix-eval-jobs',
  jail: 'auto' | 'off' = 'auto',
  said: string[] = [],
): Promise<Evaluator> {
  const { environment, layout } = testNix.nix;
  return await createEvaluator({
    nix: { env: environment, store: layout, nixEvalJobs: await faulty(faults), readablePaths: [double] },
    log: createLogger({ level: 'warn', destination: linesTo(said) }),
    jail,
    ...(prefer ? { prefer } : {}),
  });
}

const sorted = (paths: readonly (readonly string[])[]) => paths.map((path) => path.join('/')).sort();

describe('every job is found and nothing is said twice', () => {
  test.each([
    ['nothing goes wrong', {}],
    ['a worker dies without a word of where', { NAMELESS_AT: 'r._s' }],
    ['it stops answering', { HANG_AT: 'r._b' }],
    ['it fails at once, the first time', { STUMBLE: 'stumbled-once' }],
    ['lines are longer than anybody should write', { PAD: String(11 * 1024 * 1024) }],
    ['it always fails at once', { STUMBLE: '/nonexistent/never' }],
  ])('when %s', async (_, faults: Record<string, string>) => {
    const evaluator = await evaluatorWith(faults);
    expect(evaluator.name).toBe('nix-eval-jobs');
    const events = await evaluateAll(evaluator, checkout, { limits: { attributeSeconds: 5 } });
    expect(sorted(jobsOf(events).map(({ path }) => path))).toEqual(['a', 'b', 's/c', 's/x.y']);
    expect(sorted(errorsOf(events).map(({ path }) => path))).toEqual(['s/e']);
    expect(errorsOf(events)[0]?.message).toMatch(/error: e$|^error: e\b/m);
  });
});

describe('a dead worker costs one attribute', () => {
  test.each([
    ['killed', { KILL_AT: 'r._b' }, /killed by SIGKILL/],
    ['crashed', { CRASH_AT: 'r._b' }, /infinite recursion/],
    ['killed in the middle of a line', { HALF_AT: 'r._b' }, /killed by SIGKILL/],
    ['ended after words of its own', { WORDS_AT: 'r._b' }, /^error: because of this$/],
    ['at the end of its stack', { SEGV_AT: 'r._b' }, /^error: stack overflow/],
    [
      'the same, and the second time nobody has noticed',
      { SEGV_AT: 'r._b', UNSEEN_AT: 'r._b' },
      /^error: stack overflow \(poss[^,]*$/,
    ],
    ['dead, and nobody has noticed', { UNSEEN_AT: 'r._b' }, /stack overflow.* or killed for want of memory/],
    ['at an end of its stack, where newer ones end', { FATAL_AT: 'r._b' }, /^error: stack overflow/],
    ['short of memory', { ALLOC_AT: 'r._b' }, /^error: out of memory \(.*evaluation\.memory\)/],
  ])('when it is %s', async (_, faults: Record<string, string>, words) => {
    const said: string[] = [];
    const events = await evaluateAll(await evaluatorWith(faults, undefined, 'auto', said), checkout);
    expect(sorted(jobsOf(events).map(({ path }) => path))).toEqual(['a', 's/c', 's/x.y']);
    expect(sorted(errorsOf(events).map(({ path }) => path))).toEqual(['b', 's/e']);
    const message = errorsOf(events).find(({ path }) => path[0] === 'b')?.message;
    expect(message).toMatch(words);
    expect(message, 'where it is in the tree that is shown to nix-eval-jobs').not.toMatch(/r\._b|BUG/);
    expect(said.join(), 'the built-in evaluator was needed').not.toMatch(/does the rest/);
  });

  test.each([
    ['the words of 2.33', {}],
    ['those of newer ones', { NEWEST: '1' }],
  ])('also when its name has a dot, in %s', async (_, words: Record<string, string>) => {
    const said: string[] = [];
    const faults = { ...words, KILL_AT: 'r._s._x%2Ey' };
    const events = await evaluateAll(await evaluatorWith(faults, undefined, 'auto', said), checkout);
    expect(said.join()).not.toMatch(/does the rest/);
    expect(sorted(jobsOf(events).map(({ path }) => path))).toEqual(['a', 'b', 's/c']);
    expect(sorted(errorsOf(events).map(({ path }) => path))).toEqual(['s/e', 's/x.y']);
  });
});

test.each([
  ['each is written for those that read it', {}, true],
  ['none for those that take the store at its word', { NEWEST: '1' }, false],
])('of the derivations of jobs, %s', async (_, version: Record<string, string>, wanted) => {
  const written: string[] = [];
  const writer = createTextWriter({
    access: testNix.nix.access,
    nixDaemon: testNix.nix.programs['nix-daemon'],
    env: testNix.nix.environment,
  });
  const derivations = createPendingDerivations({
    addTexts: async (texts) => {
      written.push(...texts.map(({ path }) => path));
      await writer.addTexts(texts);
    },
  });
  try {
    const fresh = await writeCheckout(
      folder.path,
      `walk { a = d "a-${randomUUID()}"; b = d "b-${randomUUID()}"; }`,
    );
    const events: EvaluationEvent[] = [];
    const evaluator = await evaluatorWith(version, 'nix-eval-jobs');
    for await (const event of evaluator.evaluate({ ...requestFor(fresh), derivations })) events.push(event);
    const jobs = jobsOf(events);
    expect(jobs.map(({ path, system }) => [...path, system])).toEqual([
      ['a', 'x86_64-linux'],
      ['b', 'x86_64-linux'],
    ]);
    const drvPaths = jobs.map(({ drvPath }) => drvPath).sort();
    expect([...derivations.paths()].sort()).toEqual(drvPaths);
    expect(written.sort()).toEqual(wanted ? drvPaths : []);
  } finally {
    derivations.close();
    await writer.close();
  }
});

test('jobs arrive while it still works', async () => {
  const evaluator = await evaluatorWith({ HANG_AT: 'r._b' });
  const first: string[] = [];
  for await (const event of evaluator.evaluate(requestFor(checkout))) {
    if (event.type !== 'job') continue;
    first.push(event.path.join('/'));
    break;
  }
  expect(first).toEqual(['a']);
});

describe('traces are notices', () => {
  test.each([
    ['', {}],
    [' of the built-in evaluator, when that has to do all the work', { STUMBLE: '/nonexistent/never' }],
  ])('%s', async (_, faults: Record<string, string>) => {
    const traced = await writeCheckout(folder.path, '{ a = builtins.trace "careful" (d "a"); }');
    expect(noticesOf(await evaluateAll(await evaluatorWith(faults), traced))).toEqual(['trace: careful']);
  });

  test('once, though each worker comes past what attributes share', async () => {
    const traced = await writeCheckout(
      folder.path,
      'let shared = builtins.trace "careful" 1; in\n' +
        '{ a = builtins.seq shared (d "a"); b = throw "b"; c = builtins.seq shared (d "c"); }',
    );
    expect(noticesOf(await evaluateAll(await evaluatorWith({}), traced))).toEqual(['trace: careful']);
  });
});

test('a fetch that fails says what git had to say, and not what it said of another', async () => {
  const fetching = await writeCheckout(
    folder.path,
    '{ a = fetchGit "https://localhost:1/first"; b = throw "b"; c = fetchGit "https://localhost:1/second"; }'.replaceAll(
      'fetchGit',
      'builtins.fetchGit',
    ),
  );
  const [first, other, second] = errorsOf(await evaluateAll(await evaluatorWith({}), fetching))
    .toSorted((a, b) => (a.path.join() < b.path.join() ? -1 : 1))
    .map(({ message }) => message);
  expect(first).toMatch(/^ +fatal: .*localhost:1\/first/m);
  expect(first).not.toMatch(/fatal: .*second/);
  expect(other).not.toMatch(/fatal/);
  expect(second).toMatch(/^ +fatal: .*localhost:1\/second/m);
  expect(second).not.toMatch(/fatal: .*first/);
});

describe('a nix-eval-jobs that cannot hold code in', () => {
  const tooOld = [
    ['is too old', { VERSION: '2.28.0' }],
    ['does not tell its age', { VERSION: '', WITHOUT: '--select' }],
  ] as const;

  test.each([...tooOld, ['has no option that is needed', { WITHOUT: '--max-memory-size' }]] as const)(
    'and %s is not used without a jail',
    async (_, faults: Record<string, string>) => {
      expect((await evaluatorWith(faults, undefined, 'off')).name).toMatch(/^built-in/);
      await expect(evaluatorWith(faults, 'nix-eval-jobs', 'off')).rejects.toMatchObject({
        code: 'nix-eval-jobs-unusable',
        exitStatus: 3,
      });
    },
  );

  test.each(tooOld)('and %s evaluates trusted code in the jail, and says so', async (_, faults) => {
    const evaluator = await evaluatorWith(faults);
    expect(evaluator.name).toMatch(/^nix-eval-jobs/);
    const events = await evaluateAll(evaluator, checkout);
    expect(sorted(jobsOf(events).map(({ path }) => path))).toEqual(['a', 'b', 's/c', 's/x.y']);
    expect(noticesOf(events)).toEqual([expect.stringMatching(/restrictions were not in effect/)]);
  });

  test.each(tooOld)('and %s leaves untrusted code to the built-in evaluator', async (_, faults) => {
    const events = await evaluateAll(await evaluatorWith(faults), checkout, { trusted: false });
    expect(sorted(jobsOf(events).map(({ path }) => path))).toEqual(['a', 'b', 's/c', 's/x.y']);
    expect(noticesOf(events)).toEqual([expect.stringMatching(/built-in evaluator was used/)]);
  });

  test('the package that it comes from tells its age', async () => {
    const aged = { WITHOUT: '--select', FOLDER: `${'0'.repeat(32)}-nix-eval-jobs-2.29.0` };
    expect((await evaluatorWith(aged, undefined, 'off')).name).toBe('nix-eval-jobs 2.29.0');
  });

  test('the first one that can is used, and one that only shows by its options that it is new', async () => {
    expect((await evaluatorWith({ VERSION: '2.28.1' })).name).toBe('nix-eval-jobs 2.28.1');
    expect((await evaluatorWith({ VERSION: '' })).name).toBe('nix-eval-jobs');
  });
});
