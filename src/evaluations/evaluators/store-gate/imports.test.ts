/** Import from derivation: what is built while an evaluation waits for it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../basics/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../../nix/test-nix.ts';
import type { EvaluationLimits, ImportEnd } from '../../events.ts';
import { createEvaluator, type Evaluator } from '../create-evaluator.ts';
import {
  errorsOf,
  jobsDouble,
  jobsOf,
  makeTestFolder,
  requestFor,
  type TestFolder,
  writeCheckout,
} from '../test-evaluation.ts';

let folder: TestFolder;
beforeAll(async () => {
  folder = await makeTestFolder();
});
afterAll(() => folder.remove());

interface Heard {
  readonly name: string;
  readonly lines: string[];
  end?: ImportEnd;
}

describe.each(nixesUnderTest)('with $name', (under) => {
  let testNix: TestNix;
  beforeAll(async () => {
    testNix = await openTestNix(under);
  });
  afterAll(() => testNix.close());

  describe.each(['built-in', 'nix-eval-jobs'] as const)('%s', (prefer) => {
    let evaluator: Evaluator;
    beforeAll(async () => {
      const { environment: env, layout: store } = testNix.nix;
      evaluator = await createEvaluator({
        nix: { env, store, nixEvalJobs: jobsDouble, readablePaths: [jobsDouble] },
        log: silentLogger(),
        prefer,
      });
    });

    /** `build NAME SCRIPT`: a derivation whose output is what the script writes to `$out`. */
    const prelude = `let build = name: script: derivation { name = "\${name}-${prefer}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; }; in\n`;

    async function evaluate(nix: string, limits: Partial<EvaluationLimits> = {}) {
      const checkout = await writeCheckout(folder.path, { 'ci.nix': nix }, prelude);
      const heard: Heard[] = [];
      const events = [];
      const request = requestFor(checkout, { limits });
      for await (const event of evaluator.evaluate({
        ...request,
        onImport: ({ name }) => {
          const build: Heard = { name: name.replace(`-${prefer}`, ''), lines: [] };
          heard.push(build);
          return {
            line: (line) => void build.lines.push(line.toString()),
            phase: () => {},
            ended: (end) => {
              build.end = end;
            },
          };
        },
      })) {
        events.push(event);
      }
      return {
        jobs: jobsOf(events).map(({ path }) => path.join('.')),
        errors: Object.fromEntries(errorsOf(events).map(({ path, message }) => [path.join('.'), message])),
        heard,
        builds: heard.map(({ name, end }) => `${name} ${end?.status}`).sort(),
      };
    }

    test('each build is heard of with what it prints, once, and what it needs too', async () => {
      const nix = `let
        needed = build "needed" "echo making the needed one; echo '\\"text\\"' > $out";
        read = import (build "read" "echo reading; read -r line < \${needed}; echo \\"$line\\" > $out");
      in { a = build "a" "echo \${read} > $out"; b = build "b" "echo \${read} > $out"; }`;
      const first = await evaluate(nix);
      expect(first).toMatchObject({ jobs: ['a', 'b'], errors: {}, builds: ['needed built', 'read built'] });
      expect(first.heard.map(({ lines }) => lines)).toEqual([['making the needed one'], ['reading']]);
      expect(await evaluate(nix)).toMatchObject({ jobs: ['a', 'b'], builds: [] });
    });

    test('one that fails is an error where it is read, which names it, and is built once', async () => {
      const { jobs, errors, heard, builds } = await evaluate(`let
        broken = build "broken" "echo the reason; exit 3";
        above = build "above" "cat \${broken} > $out";
      in {
        a = import broken; b = import broken; c = import above;
        good = build "good" "echo > $out";
      }`);
      expect(jobs).toEqual(['good']);
      expect(Object.keys(errors).sort()).toEqual(['a', 'b', 'c']);
      expect(errors.a).toMatch(/-broken-[\w-]+\.drv' failed with exit code 3/);
      expect(errors.b).toMatch(/-broken-[\w-]+\.drv' failed with exit code 3/);
      expect(errors.c).toMatch(/-(above|broken)-[\w-]+\.drv'/);
      expect(builds[0]).toBe('broken failed');
      expect(heard[0]).toMatchObject({ lines: ['the reason'], end: { message: /exit code 3/ } });
    });

    // The clocks are this program's own: one Nix shows it.
    test.runIf(under === nixesUnderTest[0])(
      'the time of an attribute stands still while a build goes on, which has a limit of its own',
      async () => {
        const { jobs, errors, builds } = await evaluate(
          `{
            endless = import (build "endless" "echo begun; while :; do sleep 1; done");
            job = build "job" "echo > $out";
          }`,
          { attributeSeconds: 3, importSeconds: 5 },
        );
        expect(jobs).toEqual(['job']);
        expect(Object.keys(errors)).toEqual(['endless']);
        expect(errors.endless).toContain('longer than 5 seconds');
        expect(errors.endless).toContain('evaluation.import_timeout');
        expect(errors.endless).toContain(`-endless-${prefer}.drv`);
        expect(builds).toEqual(['endless timed-out']);
      },
    );

    test('there is a limit to how many are built', async () => {
      const { errors, builds } = await evaluate(
        `builtins.listToAttrs (map (n: { name = n; value = import (build "many-\${n}" "echo '{ }' > $out"); }) [ "1" "2" "3" ])`,
        { imports: 2 },
      );
      expect(builds).toHaveLength(2);
      const messages = Object.values(errors);
      expect(messages).toHaveLength(1);
      expect(messages[0]).toMatch(
        /-many-\d-[\w-]+\.drv' is not built: .* had 2 derivations .*evaluation\.max_imports/,
      );
    });

    test('one that prints without end is stopped', async () => {
      const { errors, builds } = await evaluate(
        `{ a = import (build "loud" "while :; do echo loud; done"); }`,
        { importLogBytes: 10_000 },
      );
      expect(errors.a).toContain('printed more than 10000 bytes');
      expect(builds).toEqual(['loud log-limit']);
    });
  });
});
