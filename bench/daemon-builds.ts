/**
 * How long 300 independent trivial builds take through the daemon client, two at a time, against one
 * `nix-build -j2` of the same, each in a new store:
 *
 *   npx tsx bench/daemon-builds.ts [--builds 300] [--rounds 3]
 *
 * The Nix on PATH is measured. The rounds alternate, so that a busy machine is busy for both.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runProcess } from '../src/basics/process.ts';
import { detectNix, type LocalNix } from '../src/nix/index.ts';
import { buildBare } from './bare-protocol.ts';

const { values } = parseArgs({
  options: { builds: { type: 'string', default: '300' }, rounds: { type: 'string', default: '3' } },
});
const builds = Number(values.builds);
const rounds = Number(values.rounds);
const parallel = 2;
const folder = await mkdtemp('/var/tmp/ringmaster-bench-');

async function freshNix(name: string): Promise<LocalNix> {
  const home = join(folder, name);
  await mkdir(home);
  return detectNix(process.env, {
    home,
    sandbox: 'required',
    store: join(home, 'store'),
    config: 'substituters =',
  });
}

async function run(program: string, args: readonly string[], nix: LocalNix): Promise<string> {
  const result = await runProcess(program, args, { env: nix.environment });
  if (result.exitCode !== 0) throw new Error(`${program}: ${result.stderr}`);
  return result.stdout;
}

async function instantiate(nix: LocalNix, file: string): Promise<string[]> {
  return (await run(nix.programs['nix-instantiate'], [file], nix)).trim().split('\n');
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

const file = join(folder, 'builds.nix');
await writeFile(
  file,
  `builtins.genList (n: derivation {
     name = "trivial-\${toString n}"; system = builtins.currentSystem;
     builder = "/bin/sh"; args = [ "-c" "echo \${toString n} > $out" ];
   }) ${builds}`,
);

const client: number[] = [];
const nixBuild: number[] = [];
try {
  for (let round = 0; round < rounds; round++) {
    const ours = await freshNix(`client-${round}`);
    const drvPaths = await instantiate(ours, file);
    client.push(await seconds(() => buildBare(ours, [drvPaths], parallel)));

    const theirs = await freshNix(`nix-build-${round}`);
    await instantiate(theirs, file);
    const args = [`-j${parallel}`, '--no-out-link', file];
    nixBuild.push(await seconds(() => run(theirs.programs['nix-build'], args, theirs)));
    const [a, b] = [client[round] ?? 0, nixBuild[round] ?? 0];
    const ratio = (a / b).toFixed(2);
    console.log(`Nix ${ours.version}: client ${a.toFixed(2)} s, nix-build ${b.toFixed(2)} s, ratio ${ratio}`);
  }
  const best = (times: readonly number[]) => Math.min(...times);
  console.log(
    `best: client ${best(client).toFixed(2)} s, nix-build ${best(nixBuild).toFixed(2)} s, ` +
      `ratio ${(best(client) / best(nixBuild)).toFixed(2)}`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
