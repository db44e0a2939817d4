/**
 * How long the evaluators take against one `nix-instantiate` of the same file, on new derivations
 * each time (cold: their .drv files are written). Prints medians and ratios.
 *
 *   npx tsx bench/evaluation.ts [RUNS]
 *
 * The ratio compares runs taken in turns, so that a busy machine slows both alike.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProcess, silentLogger } from '../src/basics/index.ts';
import { createEvaluator, defaultEvaluationLimits } from '../src/evaluations/index.ts';
import { detectNix } from '../src/nix/index.ts';

const runs = Number(process.argv[2] ?? '5');
const folder = await mkdtemp(join(tmpdir(), 'ringmaster-bench-evaluation-'));
const nix = await detectNix(process.env, {
  home: join(folder, 'home'),
  sandbox: 'off',
  store: join(folder, 'store'),
});
const evaluator = await createEvaluator({
  nix: { env: nix.environment, store: nix.layout },
  log: silentLogger(),
});

/** A file of `count` derivations that nobody has seen; the last `failing` of them throw. */
async function newCheckout(count: number, failing: number): Promise<string> {
  const checkout = join(await mkdtemp(join(folder, 'checkout-')), 'source');
  await mkdir(checkout);
  const unique = `${process.hrtime.bigint()}`;
  await writeFile(
    join(checkout, 'ci.nix'),
    `builtins.listToAttrs (builtins.genList (n: {
      name = "job" + toString n;
      value = if n >= ${count - failing} then throw "no" else derivation {
        name = "job-\${toString n}-${unique}"; system = "x86_64-linux"; builder = "/bin/sh";
      };
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

async function ours(checkout: string): Promise<void> {
  let answers = 0;
  for await (const event of evaluator.evaluate({
    checkout,
    source: { rev: '0'.repeat(40), ref: 'refs/heads/main' },
    trusted: true,
    limits: defaultEvaluationLimits,
    signal: new AbortController().signal,
  })) {
    if (event.type === 'job' || event.type === 'error') answers += 1;
  }
  if (answers === 0) throw new Error('the evaluator found nothing');
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

try {
  console.log(`${evaluator.name}, median of ${runs} runs`);
  for (const [count, failing] of [
    [100, 0],
    [100, 1],
    [1000, 0],
    [1000, 10],
    [1000, 100],
    [5000, 0],
    [20_000, 0],
  ] as const) {
    const times: { readonly nix: number; readonly ours: number }[] = [];
    for (let run = 0; run < runs; run += 1) {
      // Plain nix-instantiate gives up at the first failure, so it gets the file without any.
      const [forNix, forUs] = [await newCheckout(count, 0), await newCheckout(count, failing)];
      times.push({ nix: await seconds(() => plain(forNix)), ours: await seconds(() => ours(forUs)) });
    }
    const [theirs, own] = [median(times.map((time) => time.nix)), median(times.map((time) => time.ours))];
    const what = `${count} jobs${failing > 0 ? `, ${failing} of them failing` : ''}`;
    console.log(
      `${what}: ${own.toFixed(2)} s, nix-instantiate ${theirs.toFixed(2)} s, ratio ${(own / theirs).toFixed(2)}`,
    );
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
