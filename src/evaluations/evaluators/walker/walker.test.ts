/** The built-in evaluator when the code under evaluation misbehaves. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProcess, silentLogger } from '../../../basics/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../../nix/test-nix.ts';
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

let folder: TestFolder;
beforeAll(async () => {
  folder = await makeTestFolder();
});
afterAll(() => folder.remove());

/** A number that takes 10^12 steps, and hardly any memory. */
const endless = `(let r = builtins.genList (n: n) 10000;
  in builtins.foldl' (a: _: a + builtins.foldl' (b: _: b + builtins.foldl' (c: _: c + 1) 0 r) 0 r) 0 r)`.replaceAll(
  '\n',
  ' ',
);

/** An attribute whose evaluation waits for a builder that sleeps for that many seconds. */
const waits = (seconds: number) =>
  `builtins.readFile (derivation { name = "waits-${seconds}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "sleep ${seconds}" ]; })`;

async function isRunning(command: string): Promise<boolean> {
  const { stdout } = await runProcess('ps', ['-eo', 'args'], { env: { PATH: process.env.PATH ?? '' } });
  return stdout.split('\n').some((line) => line.includes(command) && !line.includes('[ps]'));
}

describe.each(nixesUnderTest)('the built-in evaluator with $name', (under) => {
  let testNix: TestNix;
  let evaluator: Evaluator;
  beforeAll(async () => {
    testNix = await openTestNix(under);
    const { environment, layout } = testNix.nix;
    evaluator = await createEvaluator({
      nix: { env: environment, store: layout },
      log: silentLogger(),
      prefer: 'built-in',
    });
  });
  afterAll(() => testNix.close());

  test('an attribute that makes no progress is given up, and the rest evaluated', async () => {
    const checkout = await writeCheckout(
      folder.path,
      `{ a = d "a"; slow = d (toString ${endless}); z = d "z"; }`,
    );
    const events = await evaluateAll(evaluator, checkout, { limits: { attributeSeconds: 2 } });
    expect(jobsOf(events).map(({ path }) => path)).toEqual([['a'], ['z']]);
    const [error] = errorsOf(events);
    expect(error?.path).toEqual(['slow']);
    expect(error?.message).toMatch(/longer than 2 seconds/);
    expect(error?.location).toEqual({ file: 'ci.nix', line: 2, column: 14 });
  });

  test('an attribute that needs too much memory is an error and the rest is evaluated', async () => {
    const checkout = await writeCheckout(
      folder.path,
      `{ a = d "a"; big = builtins.foldl' (all: n: [ all (toString n) ]) [ ] (builtins.genList (n: n) 100000000); z = d "z"; }`,
    );
    const events = await evaluateAll(evaluator, checkout, { limits: { memoryMegabytes: 1024 } });
    expect(jobsOf(events).map(({ path }) => path)).toEqual([['a'], ['z']]);
    expect(errorsOf(events).map(({ path }) => path)).toEqual([['big']]);
    expect(errorsOf(events)[0]?.message).toMatch(/memory.*1024 MB/);
  });

  test('memory that other attributes have used up is not blamed on the next one', async () => {
    const checkout = await writeCheckout(
      folder.path,
      `let half = plus: builtins.genList (n: n + plus) 8000000; x = half 1; y = half 2; in
      { a = builtins.seq x (d "a"); b = builtins.seq y (d "b"); c = d ("c" + builtins.substring 0 0 (toString (builtins.length x))); }`,
    );
    const events = await evaluateAll(evaluator, checkout, { limits: { memoryMegabytes: 1024 } });
    expect(errorsOf(events)).toEqual([]);
    expect(jobsOf(events).map(({ path }) => path)).toEqual([['a'], ['b'], ['c']]);
  });

  test('hundreds of failures of all kinds are each reported, with their own words', async () => {
    const checkout = await writeCheckout(folder.path, {
      'ci.nix': `builtins.listToAttrs (builtins.genList (n: {
        name = "n" + toString (1000 + n);
        value =
          if n == 100 then import ./unfinished.nix
          else if n == 150 then (let f = x: 1 + f x; in f 0)
          else if n == 200 then throw "error: syntax error, unexpected ')'"
          else if builtins.bitAnd n 1 == 0 then throw "reason \${toString n}."
          else d "n\${toString n}";
      }) 600)`,
      'unfinished.nix': '{ a = ',
    });
    const events = await evaluateAll(evaluator, checkout);
    expect(jobsOf(events)).toHaveLength(300);
    const errors = errorsOf(events);
    expect(errors).toHaveLength(300);
    for (const { path, message } of errors) {
      const number = Number(path[0]?.slice(1)) - 1000;
      const special = new Map([
        [100, /unexpected end of file/],
        [150, /stack overflow/],
        [200, /unexpected '\)'/],
      ]);
      expect(message).toMatch(special.get(number) ?? new RegExp(`reason ${number}\\.`));
    }
    expect(noticesOf(events)).toEqual([]);
  });

  test('an evaluation that takes too long keeps what it found and says so', async () => {
    const checkout = await writeCheckout(
      folder.path,
      `{ a = d "a"; slow = d (toString ${endless}); z = d "z"; }`,
    );
    const events = await evaluateAll(evaluator, checkout, { limits: { totalSeconds: 2 } });
    expect(jobsOf(events).map(({ path }) => path)).toEqual([['a']]);
    expect(errorsOf(events)).toEqual([
      { type: 'error', path: [], message: expect.stringMatching(/longer than 2 seconds/) },
    ]);
  });

  test('jobs arrive while the evaluation goes on, and cancelling it ends it and its builder', async () => {
    const checkout = await writeCheckout(folder.path, `{ a = d "a"; slow = ${waits(86403)}; }`);
    const controller = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of evaluator.evaluate(requestFor(checkout, { signal: controller.signal }))) {
        seen.push(event.type);
        if (event.type === 'job') controller.abort(new Error('no longer wanted'));
      }
    })();
    await expect(reading).rejects.toThrow('no longer wanted');
    expect(seen).toEqual(['started', 'job']);
    await expect.poll(() => isRunning('sleep 86403')).toBe(false);
  });

  test('a reader who leaves early leaves no process behind', async () => {
    const checkout = await writeCheckout(folder.path, `{ a = d "a"; slow = ${waits(86404)}; }`);
    for await (const event of evaluator.evaluate(requestFor(checkout))) if (event.type === 'job') break;
    await expect.poll(() => isRunning('sleep 86404')).toBe(false);
  });

  test('too many attributes end the evaluation with an error', async () => {
    const checkout = await writeCheckout(
      folder.path,
      `builtins.listToAttrs (builtins.genList (n: { name = "n" + toString n; value = d "n"; }) 30)`,
    );
    const events = await evaluateAll(evaluator, checkout, { limits: { attributes: 20 } });
    expect(jobsOf(events)).toHaveLength(20);
    expect(errorsOf(events).map(({ path, message }) => [path, message])).toEqual([
      [[], expect.stringMatching(/more than 20 attributes/)],
    ]);
  });

  test('a very long message is cut between characters, and the error is in what is left', async () => {
    const checkout = await writeCheckout(
      folder.path,
      `{ a = throw ("reason" + builtins.concatStringsSep "" (builtins.genList (_: "ü") 20000)); }`,
    );
    const [error] = errorsOf(await evaluateAll(evaluator, checkout, { limits: { messageBytes: 1001 } }));
    expect(Buffer.byteLength(error?.message ?? '')).toBeLessThanOrEqual(1001);
    expect(error?.message).not.toContain('\ufffd');
    expect(error?.message).toContain('ü');
  });

  test('traces are notices, without end are not', async () => {
    const checkout = await writeCheckout(
      folder.path,
      `{ a = builtins.trace "careful" (d "a"); b = builtins.foldl' (_: n: builtins.trace "again" null) null (builtins.genList (n: n) 1000); }`,
    );
    const notices = noticesOf(await evaluateAll(evaluator, checkout));
    expect(notices[0]).toBe('trace: careful');
    expect(notices.length).toBeLessThan(300);
    expect(notices.at(-1)).toMatch(/\d+ more/);
  });

  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: Nix
  test('a trace is said with all of its lines, and at the place that it names', async () => {
    const code =
      '{ a = builtins.trace "old\\nsince at ${toString ./lib/a.nix}:7:3" (d "a"); b = (builtins.warn or builtins.trace) "soon" (d "b"); }';
    const events = await evaluateAll(evaluator, await writeCheckout(folder.path, code));
    const notices = events.filter((event) => event.type === 'notice');
    expect(notices[0]?.message).toBe('trace: old\nsince at lib/a.nix:7:3');
    expect(notices[0]?.location).toEqual({ file: 'lib/a.nix', line: 7, column: 3 });
    expect(notices[1]?.message).toMatch(/^(trace|evaluation warning): soon$/);
  });
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: Nix

  test.each([
    ['regular', ''],
    ['effect', 'isEffect = true; ignoreFailure = true;'],
    ['dependencies-only', 'buildDependenciesOnly = true; requireFailure = true;'],
    ['dependencies-only', 'phases = [ "nobuildPhase" ]; ignoreFailure = true;'],
    ['regular', 'phases = [ "nobuildPhase" "x" ]; ignoreFailure = "yes";'],
    ['may-fail', 'ignoreFailure = true; requireFailure = true;'],
    ['must-fail', 'requireFailure = true;'],
  ])('a derivation is marked %s by %s', async (mark, attributes) => {
    const checkout = await writeCheckout(folder.path, `{ a = d "a" // { ${attributes} }; }`);
    expect(jobsOf(await evaluateAll(evaluator, checkout)).map((job) => job.mark)).toEqual([mark]);
  });

  test('a mark that throws is an error', async () => {
    const checkout = await writeCheckout(folder.path, `{ a = d "a" // { isEffect = throw "marked"; }; }`);
    expect(errorsOf(await evaluateAll(evaluator, checkout))[0]?.message).toMatch(/marked/);
  });

  test('an error tells the line of the repository, relative to it, wherever it is', async () => {
    const checkout = await writeCheckout(folder.path, {
      'ci.nix': '{\n  a = import ./lib/a.nix;\n  b = 1 +\n    { }.missing;\n}',
      'lib/a.nix': 'let\n  x = throw "deep";\nin x',
      'lib/bad.nix': '{ ',
    });
    const events = await evaluateAll(evaluator, checkout);
    const places = errorsOf(events).map(({ location }) => [location?.file, location?.line]);
    expect(places).toEqual([
      [expect.stringMatching(/^(lib\/a|ci)\.nix$/), 3],
      ['ci.nix', 5],
    ]);
  });
});
