/**
 * How long the evaluators take against one `nix-instantiate` of the same file, and Ringmaster over
 * nix-eval-jobs against that program alone, on new derivations each time (cold). Medians and ratios:
 *
 *   npx tsx bench/evaluation.ts [RUNS] [PART]
 *
 * PART: `walker`, `failures`, `common`, `jobs`; default all. With RINGMASTER_TEST_NIX_EVAL_JOBS, the path
 * of a nix-eval-jobs made for the Nix on PATH, `jobs` takes that instead of the double, with one worker
 * and with as many as a server starts by default; the double has only one, which evaluates everything
 * before it reads the first derivation, where a real one reads each right after it has made it. A
 * ratio compares runs taken in turns, so that a busy machine slows both alike; a first round only warms this process up, as a server is.
 * nix-instantiate writes every .drv; so does `ringmaster run --no-build` (`written`), while a server, and
 * `run` otherwise, keep them apart until one is needed (`kept`).
 */
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runProcess, silentLogger, startProcess } from '../src/basics/index.ts';
import { createEvaluator, defaultEvaluationLimits, type Evaluator } from '../src/evaluations/index.ts';
import { createPendingDerivations, createTextWriter, detectNix } from '../src/nix/index.ts';
import { benchJobsReading } from './jobs-reading.ts';
import { median, row } from './report.ts';

const runs = Number(process.argv[2] ?? '5');
const part = process.argv[3];
const folder = await mkdtemp(join(tmpdir(), 'ringmaster-bench-evaluation-'));
const nix = await detectNix(process.env, {
  home: join(folder, 'home'),
  sandbox: 'off',
  store: join(folder, 'store'),
  config: 'substituters =',
});
const realJobs = process.env.RINGMASTER_TEST_NIX_EVAL_JOBS;
const jobs = realJobs ?? join(import.meta.dirname, '../test/nix-eval-jobs-double/nix-eval-jobs.mjs');

function evaluatorFor(prefer: 'built-in' | 'nix-eval-jobs', workers = 1): Promise<Evaluator> {
  return createEvaluator({
    nix: { env: nix.environment, store: nix.layout, nixEvalJobs: jobs, readablePaths: [jobs] },
    log: silentLogger(),
    prefer,
    jail: 'auto',
    workers,
  });
}

interface Shape {
  readonly count: number;
  /** Evenly spread over the tree. */
  readonly failing?: number;
  /** Additions that all attributes share. */
  readonly common?: number;
}

/** A file of derivations that nobody has seen. */
async function newCheckout({ count, failing = 0, common = 0 }: Shape): Promise<string> {
  const checkout = join(await mkdtemp(join(folder, 'checkout-')), 'source');
  await mkdir(checkout);
  const every = failing === 0 ? count + 1 : Math.floor(count / failing);
  await writeFile(
    join(checkout, 'ci.nix'),
    `let common = builtins.foldl' (sum: n: sum + n) 0 (builtins.genList (n: n) ${common}); in
    builtins.listToAttrs (builtins.genList (n: {
      name = "job" + toString n;
      value = builtins.seq common (if (n + 1) / ${every} * ${every} == n + 1 then throw "no" else derivation {
        name = "job-\${toString n}-${process.hrtime.bigint()}"; system = "x86_64-linux"; builder = "/bin/sh";
      });
    }) ${count})`,
  );
  return checkout;
}

async function plain(checkout: string): Promise<void> {
  const file = join(checkout, 'ci.nix');
  const { exitCode, stderr } = await runProcess(nix.programs['nix-instantiate'], [file], {
    env: nix.environment,
  });
  if (exitCode !== 0) throw new Error(stderr);
}

/** nix-eval-jobs by itself, into a file. */
async function plainJobs(checkout: string, workers: number): Promise<void> {
  const args = ['--workers', String(workers), '--meta', '--show-trace', join(checkout, 'ci.nix')];
  const child = startProcess(jobs, args, { env: { ...nix.environment } });
  child.stdin.end();
  child.stderr.resume();
  await pipeline(child.stdout, createWriteStream(join(folder, 'lines.jsonl')));
}

/** `asked`: kept in memory, and written where somebody asks for the file, as nix-eval-jobs does for each. */
type Keeping = 'kept' | 'asked' | 'written';

const writer = createTextWriter({
  access: nix.access,
  nixDaemon: nix.programs['nix-daemon'],
  env: nix.environment,
});

async function ours(evaluator: Evaluator, checkout: string, keeping: Keeping, expected: number) {
  let answers = 0;
  const derivations = createPendingDerivations(keeping === 'asked' ? writer : { addTexts: async () => {} });
  for await (const event of evaluator.evaluate({
    checkout,
    source: { rev: '0'.repeat(40), ref: 'refs/heads/main' },
    trusted: true,
    limits: defaultEvaluationLimits,
    signal: new AbortController().signal,
    ...(keeping === 'written' ? {} : { derivations }),
  })) {
    if (event.type === 'job' || event.type === 'error') answers += 1;
  }
  derivations.close();
  if (answers !== expected) throw new Error(`the evaluator found ${answers} instead of ${expected}`);
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** Takes the two in turns, and tells the ratio of their medians. */
async function compare(
  what: string,
  wanted: number,
  first: () => Promise<() => Promise<void>>,
  second: () => Promise<() => Promise<void>>,
): Promise<void> {
  const times: { readonly first: number; readonly second: number }[] = [];
  for (let run = 0; run <= runs; run += 1) {
    const [one, two] = [await first(), await second()];
    const time = { first: await seconds(one), second: await seconds(two) };
    if (run > 0) times.push(time);
  }
  const [base, own] = [median(times.map((time) => time.first)), median(times.map((time) => time.second))];
  const figure = `${own.toFixed(2)} s, x ${(own / base).toFixed(2)}`;
  row(what, figure, `wanted: x ${wanted} of ${base.toFixed(2)} s`);
}

const ways = [
  ['locked in, kept', await evaluatorFor('built-in'), 'kept'],
  ['locked in, written', await evaluatorFor('built-in'), 'written'],
] as const;

/** Plain nix-instantiate gives up at the first failure, so it gets the file without any. */
async function againstInstantiate(shape: Shape, wanted: number): Promise<void> {
  for (const [way, evaluator, keeping] of ways) {
    const failures = shape.failing === undefined ? '' : `, ${shape.failing} failing`;
    await compare(
      `${shape.count.toLocaleString('en')} jobs${failures}, ${way}`,
      wanted,
      async () => {
        const checkout = await newCheckout({ ...shape, failing: 0 });
        return () => plain(checkout);
      },
      async () => {
        const checkout = await newCheckout(shape);
        return () => ours(evaluator, checkout, keeping, shape.count);
      },
    );
  }
}

/** The same file with failures against that without, by the walker itself. */
async function commonPart(): Promise<void> {
  const shape = { count: 200, common: 6_000_000 };
  for (const [way, evaluator, keeping] of ways) {
    const run = async (failing: number) => {
      const checkout = await newCheckout({ ...shape, failing });
      return () => ours(evaluator, checkout, keeping, shape.count);
    };
    await compare(
      `costly common part, 10 failing, ${way}`,
      2,
      () => run(0),
      () => run(10),
    );
  }
}

async function overJobs(): Promise<void> {
  const byDefault = Math.min(4, availableParallelism());
  for (const workers of realJobs ? [1, byDefault] : [1]) {
    const evaluator = await evaluatorFor('nix-eval-jobs', workers);
    const name = realJobs ? `${evaluator.name}, ${workers} workers` : `${evaluator.name}, a double`;
    for (const count of [1000, 5000]) {
      await compare(
        `${count.toLocaleString('en')} jobs over ${name}`,
        1.05,
        async () => {
          const checkout = await newCheckout({ count });
          return () => plainJobs(checkout, workers);
        },
        async () => {
          const checkout = await newCheckout({ count });
          return () => ours(evaluator, checkout, 'asked', count);
        },
      );
    }
  }
}

const wants = (name: string) => part === undefined || part === name;
try {
  // A server that was just started has not compiled what it does for each attribute; 1,000 are enough.
  for (const [, evaluator, keeping] of ways)
    await ours(evaluator, await newCheckout({ count: 1000 }), keeping, 1000);
  if (wants('walker')) {
    for (const count of [100, 1000, 5000, 20_000]) await againstInstantiate({ count }, 1.2);
  }
  if (wants('failures')) {
    await againstInstantiate({ count: 1000, failing: 10 }, 1.5);
    await againstInstantiate({ count: 1000, failing: 100 }, 1.5);
  }
  if (wants('common')) await commonPart();
  if (wants('jobs')) {
    await overJobs();
    await benchJobsReading(nix, folder, 20_000, runs);
  }
} finally {
  await writer.close();
  await rm(folder, { recursive: true, force: true });
}
