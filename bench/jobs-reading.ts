/**
 * What Ringmaster itself does for each attribute that nix-eval-jobs finds: reading its line, checking
 * it, reading its derivation, telling of it. The program prints lines that were made before and does
 * nothing else, so all that is measured is ours.
 */
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '../src/basics/index.ts';
import { createEvaluator, defaultEvaluationLimits } from '../src/evaluations/index.ts';
import { createPendingDerivations, type LocalNix, type PendingDerivations } from '../src/nix/index.ts';
import { median, row } from './report.ts';

/** Microseconds that nix-eval-jobs 2.33 takes for a new derivation, on the machine where others were measured. */
const theirs = 550;
const share = 0.05;

/** Prints its figures. */
export async function benchJobsReading(nix: LocalNix, below: string, count: number, runs: number) {
  const folder = await mkdtemp(join(below, 'reading-'));
  const checkout = join(folder, 'source');
  await mkdir(checkout);
  await writeFile(join(checkout, 'ci.nix'), '{ }');
  const program = await writeProgram(folder, count);
  const evaluator = await createEvaluator({
    nix: { env: nix.environment, store: nix.layout, version: nix.version, nixEvalJobs: program },
    log: silentLogger(),
    prefer: 'nix-eval-jobs',
    jail: 'off',
  });
  const times: number[] = [];
  for (let run = 0; run <= runs; run += 1) {
    const derivations = createPendingDerivations({ addTexts: async () => {} });
    addDerivations(derivations, count);
    const before = process.cpuUsage();
    let jobs = 0;
    for await (const event of evaluator.evaluate({
      checkout,
      source: { rev: '0'.repeat(40), ref: 'refs/heads/main' },
      trusted: true,
      limits: defaultEvaluationLimits,
      signal: new AbortController().signal,
      derivations,
    })) {
      if (event.type === 'job') jobs += 1;
    }
    const { user, system } = process.cpuUsage(before);
    derivations.close();
    if (jobs !== count) throw new Error(`${jobs} jobs instead of ${count}`);
    // The first one warms up.
    if (run > 0) times.push((user + system) / count);
  }
  row(
    `${count.toLocaleString('en')} lines of nix-eval-jobs, our processor time for each`,
    `${median(times).toFixed(1)} µs`,
    `wanted: ${theirs * share} µs, ${share * 100} % of what the program takes for a new one`,
  );
}

const drvPathOf = (number: number) => `/nix/store/${number.toString(36).padStart(32, '0')}-job-${number}.drv`;

function addDerivations(derivations: PendingDerivations, count: number): void {
  for (let number = 0; number < count; number += 1) {
    const drvPath = drvPathOf(number);
    const out = drvPath.slice(0, -'.drv'.length);
    const text = `Derive([("out","${out}","","")],[],[],"x86_64-linux","/bin/sh",[],[("builder","/bin/sh"),("name","job-${number}"),("out","${out}"),("system","x86_64-linux")])`;
    derivations.add(drvPath, Buffer.from(text), []);
  }
}

/** A program that has the options of nix-eval-jobs and its lines. */
async function writeProgram(folder: string, count: number): Promise<string> {
  const lines = Array.from({ length: count }, (_, number) =>
    JSON.stringify({
      attr: `r._job${number}`,
      attrPath: ['r', `_job${number}`],
      drvPath: drvPathOf(number),
      meta: { mark: 'regular' },
      name: `job-${number}`,
      outputs: { out: drvPathOf(number) },
      requiredSystemFeatures: [],
      system: 'of the derivation',
    }),
  );
  const file = join(folder, 'lines.jsonl');
  await writeFile(file, `${lines.join('\n')}\n`);
  const program = join(folder, 'nix-eval-jobs');
  const options = '--workers --max-memory-size --meta --expr --gc-roots-dir --select';
  await writeFile(
    program,
    `#!/bin/sh\ncase "$1" in --help) echo '${options}' ;; --version) echo 2.33.1 ;; *) exec cat '${file}' ;; esac\n`,
  );
  await chmod(program, 0o755);
  return program;
}
