/**
 * How long `ringmaster run` takes from start to end for trivial builds in several shapes, against one
 * `nix-build -j2 --no-out-link` of the same file and against the bare daemon protocol behind one
 * `nix-instantiate`:
 *
 *   npx tsx bench/run.ts [--nix DIR]... [--shape independent|chain|diamond]... [--builds N]... [--rounds 5]
 *
 * `--nix`: a folder with Nix's programs; default: the Nix on PATH, and the modern one of the tests.
 * Every round has new stores. All take turns, so that a busy machine is busy for each of them. The
 * program is compiled from what lies here now.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { runProcess, startProcess } from '../src/basics/index.ts';
import { detectNix, type LocalNix } from '../src/nix/index.ts';
import { buildBare } from './bare-protocol.ts';
import { ciNixOf, type Shape, shapes, stagesOf } from './build-shapes.ts';
import { buildProgram } from './built-program.ts';
import { median, row } from './report.ts';

const { values } = parseArgs({
  // The whole bench has arguments of its own.
  args: import.meta.url === `file://${process.argv[1]}` ? process.argv.slice(2) : [],
  options: {
    nix: { type: 'string', multiple: true },
    shape: { type: 'string', multiple: true },
    builds: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '5' },
  },
});
const rounds = Number(values.rounds);
const parallel = 2;
const modern = process.env.RINGMASTER_TEST_MODERN_NIX ?? join(homedir(), '.cache/ringmaster/nix-2.26.3/bin');
const nixes = values.nix ?? ['', ...(existsSync(modern) ? [modern] : [])];
const wantedShapes = shapes.filter((shape) => values.shape?.includes(shape) ?? true);
const usualCounts: Readonly<Record<Shape, readonly number[]>> = {
  independent: [300, 1000],
  chain: [50],
  diamond: [200],
};

const folder = await mkdtemp('/var/tmp/ringmaster-bench-');
const program = await buildProgram();
let stores = 0;

async function freshNix(bin: string): Promise<LocalNix> {
  stores += 1;
  const home = join(folder, `home-${stores}`);
  const env = bin === '' ? process.env : { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  const store = join(home, 'store');
  return await detectNix(env, { home, sandbox: 'required', store, config: 'substituters =' });
}

/** Seconds. */
async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function done(file: string, args: readonly string[], { environment }: LocalNix): Promise<string> {
  const result = await runProcess(file, args, { env: environment });
  if (result.exitCode !== 0) throw new Error(`${file}: ${result.stdout.slice(-2000)}${result.stderr}`);
  return result.stdout;
}

async function bare(nix: LocalNix, file: string, shape: Shape, count: number): Promise<void> {
  const drvPaths = (await done(nix.programs['nix-instantiate'], [file], nix)).trim().split('\n');
  const byNumber = new Map(drvPaths.map((path) => [/-trivial-(\d+)\.drv$/.exec(path)?.[1], path]));
  const stages = stagesOf(shape, count).map((numbers) =>
    numbers.flatMap((number) => byNumber.get(String(number)) ?? []),
  );
  await buildBare(nix, stages, parallel);
}

/** Milliseconds since the start of the program, by the lines that it prints. */
interface Marks {
  evaluating: number;
  firstBuild: number;
  evaluated: number;
}

async function ours({ environment }: LocalNix, checkout: string): Promise<Marks> {
  const start = performance.now();
  const marks: Marks = { evaluating: Number.NaN, firstBuild: Number.NaN, evaluated: Number.NaN };
  const args = [program.main, 'run', '-j', String(parallel), checkout];
  const child = startProcess(process.execPath, args, { env: environment });
  child.stdin.end();
  let text = '';
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  child.stdout.on('data', (chunk) => {
    const since = performance.now() - start;
    text += chunk;
    if (/^evaluating /m.test(text)) marks.evaluating ||= since;
    if (/^building /m.test(text)) marks.firstBuild ||= since;
    if (/^evaluated /m.test(text)) {
      marks.evaluated ||= since;
      // Nothing but the last lines is looked at from here on.
      text = text.slice(-2000).replace(/^evaluated /m, '');
    }
  });
  const exitCode = await new Promise((resolve) => child.once('close', resolve));
  if (exitCode !== 0) throw new Error(`ringmaster run: ${text}${errors}`);
  return marks;
}

/** Tells how long before the end of the evaluation the first build began, and of how long. */
function tellOverlap(all: readonly Marks[]): void {
  const overlap = median(all.map(({ firstBuild, evaluated }) => evaluated - firstBuild));
  const evaluation = median(all.map(({ evaluating, evaluated }) => evaluated - evaluating));
  row('  first build starts before the end of the evaluation', `${overlap.toFixed(0)} ms`, 'more than 0');
  row(
    '  which takes',
    `${evaluation.toFixed(0)} ms`,
    `begun ${median(all.map((m) => m.evaluating)).toFixed(0)} ms after the start`,
  );
}

async function measure(bin: string, shape: Shape, count: number): Promise<void> {
  const checkout = await mkdtemp(join(folder, 'checkout-'));
  const file = join(checkout, 'ci.nix');
  await writeFile(file, ciNixOf(shape, count));
  const times: Record<'run' | 'nixBuild' | 'bare', number[]> = { run: [], nixBuild: [], bare: [] };
  const marks: Marks[] = [];
  let version = '';
  const turns = [
    async (nix: LocalNix) => {
      const args = [`-j${parallel}`, '--no-out-link', file];
      times.nixBuild.push(await timed(async () => void (await done(nix.programs['nix-build'], args, nix))));
    },
    async (nix: LocalNix) => {
      times.run.push(await timed(async () => void marks.push(await ours(nix, checkout))));
    },
    async (nix: LocalNix) => {
      times.bare.push(await timed(() => bare(nix, file, shape, count)));
    },
  ];
  for (let round = 0; round < rounds; round += 1) {
    // None always comes first: the later ones find warmer caches.
    for (const turn of turns) {
      const nix = await freshNix(bin);
      version = nix.version;
      await turn(nix);
    }
    turns.push(...turns.splice(0, 1));
  }
  const [own, nixBuild, protocol] = [median(times.run), median(times.nixBuild), median(times.bare)];
  const old = /^2\.(?:\d|1\d|2[0-5])\./.test(version);
  const independent = shape === 'independent';
  const peer = independent ? nixBuild : Math.min(nixBuild, protocol);
  const most = independent && !old ? 0.5 : 1.25;
  const peers = `nix-build ${nixBuild.toFixed(2)} s, bare protocol ${protocol.toFixed(2)} s`;
  const what = `Nix ${version}: ${count.toLocaleString('en')} builds, ${shape}`;
  row(
    what,
    `${own.toFixed(2)} s, x ${(own / peer).toFixed(2)}`,
    `wanted: x ${most} of ${independent ? 'nix-build' : 'the faster'}; ${peers}`,
  );
  tellOverlap(marks);
}

try {
  for (const bin of nixes) {
    for (const shape of wantedShapes) {
      const counts = values.builds?.map(Number) ?? usualCounts[shape];
      for (const count of counts) await measure(bin, shape, count);
    }
  }
} finally {
  await program.remove();
  await rm(folder, { recursive: true, force: true });
}
