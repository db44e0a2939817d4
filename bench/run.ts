/**
 * How long `ringmaster run` takes for 300 independent trivial builds, evaluation and start of the
 * program included, against one `nix-build -j2 --no-out-link` of the same file:
 *
 *   npx tsx bench/run.ts [--builds 300] [--rounds 3]
 *
 * The Nix on PATH is measured; every round has a new store. The two take turns, so that a busy
 * machine is busy for both. The program is taken from dist/ when it was built, else run by tsx,
 * which adds the time of compiling it.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runProcess } from '../src/basics/index.ts';
import { detectNix } from '../src/nix/index.ts';

const { values } = parseArgs({
  options: { builds: { type: 'string', default: '300' }, rounds: { type: 'string', default: '3' } },
});
const builds = Number(values.builds);
const rounds = Number(values.rounds);
const folder = await mkdtemp('/var/tmp/ringmaster-bench-');
const checkout = join(folder, 'checkout');
const root = fileURLToPath(new URL('..', import.meta.url));
const compiled = join(root, 'dist/cli/main.js');
const program = existsSync(compiled)
  ? [compiled]
  : ['--import', import.meta.resolve('tsx'), join(root, 'src/cli/main.ts')];

/** A new store, and the environment that leads every Nix program to it. */
async function freshStore(name: string): Promise<Record<string, string>> {
  const home = join(folder, name);
  await mkdir(home);
  const store = join(home, 'store');
  const nix = await detectNix(process.env, {
    home,
    sandbox: 'required',
    store,
    config: 'substituters =',
  });
  return { ...nix.environment };
}

async function seconds(file: string, args: readonly string[], env: Record<string, string>): Promise<number> {
  const start = performance.now();
  const result = await runProcess(file, args, { env });
  if (result.exitCode !== 0) throw new Error(`${file}: ${result.stdout.slice(-2000)}${result.stderr}`);
  return (performance.now() - start) / 1000;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

await mkdir(checkout);
await writeFile(
  join(checkout, 'ci.nix'),
  `builtins.listToAttrs (builtins.genList (number: {
    name = "job-\${toString number}";
    value = derivation {
      name = "trivial-\${toString number}";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [ "-c" "echo \${toString number} > $out" ];
    };
  }) ${builds})\n`,
);
const ours: number[] = [];
const plain: number[] = [];
try {
  const measurePlain = async (name: string) => {
    const environment = await freshStore(name);
    const args = ['-j2', '--no-out-link', join(checkout, 'ci.nix')];
    plain.push(await seconds('nix-build', args, environment));
  };
  const measureOurs = async (name: string) => {
    const environment = await freshStore(name);
    ours.push(await seconds(process.execPath, [...program, 'run', '-j', '2', checkout], environment));
  };
  for (let round = 0; round < rounds; round += 1) {
    // Neither always comes first: the second finds warmer caches.
    const order = round % 2 === 0 ? [measurePlain, measureOurs] : [measureOurs, measurePlain];
    for (const measure of order) await measure(`${measure.name}-${round}`);
    console.log(
      `round ${round + 1}: nix-build ${plain.at(-1)?.toFixed(2)} s, run ${ours.at(-1)?.toFixed(2)} s`,
    );
  }
  const ratio = median(ours) / median(plain);
  const from = program.length === 1 ? 'dist' : 'tsx';
  console.log(
    `${builds} builds, medians of ${rounds}: nix-build ${median(plain).toFixed(2)} s, ` +
      `ringmaster run (${from}) ${median(ours).toFixed(2)} s, ratio ${ratio.toFixed(2)}`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
