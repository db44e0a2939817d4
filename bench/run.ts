/**
 * How long `ringmaster run` takes from start to end for trivial builds in several shapes, against one
 * `nix-build -j2 --no-out-link` of the same file and against the bare daemon protocol behind one
 * `nix-instantiate`:
 *
 *   npx tsx bench/run.ts [--nix DIR]... [--shape independent|chain|diamond]... [--builds N]...
 *     [--rounds 5] [--seconds 60]
 *
 * `--nix`: a folder with Nix's programs; default: the Nix on PATH, and the modern one of the tests.
 * `--seconds`: no new round of a shape begins later than that, unless there were fewer than three.
 *
 * Every round has new stores. All take turns, so that a busy machine is busy for each of them; medians
 * are compared. The bare protocol is left out where only nix-build counts, which takes long enough. The
 * program is compiled from what lies here now. The processor time is that of all processes of a run.
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
import { childrenSeconds } from './processor-time.ts';
import { median, row } from './report.ts';

const { values } = parseArgs({
  // The whole bench has arguments of its own.
  args: import.meta.url === `file://${process.argv[1]}` ? process.argv.slice(2) : [],
  options: {
    nix: { type: 'string', multiple: true },
    shape: { type: 'string', multiple: true },
    builds: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '60' },
  },
});
const rounds = { least: Math.min(3, Number(values.rounds)), most: Number(values.rounds) };
const longestMs = Number(values.seconds) * 1000;
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

async function withFreshNix(bin: string, work: (nix: LocalNix) => Promise<void>): Promise<void> {
  stores += 1;
  const home = join(folder, `home-${stores}`);
  const env = bin === '' ? process.env : { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  const store = join(home, 'store');
  await work(await detectNix(env, { home, sandbox: 'required', store, config: 'substituters =' }));
  // Tens of thousands of files, which the system would go on writing to the disk while others are measured.
  await rm(home, { recursive: true, force: true });
}

/** Seconds: what a clock on the wall shows, and the processors' time of all child processes. */
interface Cost {
  readonly wall: number;
  readonly processor: number;
}

async function timed(work: () => Promise<void>): Promise<Cost> {
  const [start, before] = [performance.now(), childrenSeconds()];
  await work();
  return { wall: (performance.now() - start) / 1000, processor: childrenSeconds() - before };
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
  const costs: Record<'run' | 'nixBuild' | 'bare', Cost[]> = { run: [], nixBuild: [], bare: [] };
  const marks: Marks[] = [];
  let version = '';
  const turns = [
    async (nix: LocalNix) => {
      const args = [`-j${parallel}`, '--no-out-link', file];
      costs.nixBuild.push(await timed(async () => void (await done(nix.programs['nix-build'], args, nix))));
    },
    async (nix: LocalNix) => {
      costs.run.push(await timed(async () => void marks.push(await ours(nix, checkout))));
    },
  ];
  const independent = shape === 'independent';
  if (!independent) {
    turns.push(async (nix) => void costs.bare.push(await timed(() => bare(nix, file, shape, count))));
  }
  const begin = performance.now();
  for (let round = 0; round < rounds.most; round += 1) {
    if (round >= rounds.least && performance.now() - begin > longestMs) break;
    // None always comes first: the later ones find warmer caches.
    for (const turn of turns) {
      await withFreshNix(bin, async (nix) => {
        version = nix.version;
        await turn(nix);
      });
    }
    turns.push(...turns.splice(0, 1));
  }
  const walls = (all: readonly Cost[]) => median(all.map(({ wall }) => wall));
  const [own, nixBuild, protocol] = [walls(costs.run), walls(costs.nixBuild), walls(costs.bare)];
  const old = /^2\.(?:\d|1\d|2[0-5])\./.test(version);
  const peer = independent ? nixBuild : Math.min(nixBuild, protocol);
  const most = independent && !old ? 0.5 : 1.25;
  const bareToo = independent ? '' : `, bare protocol ${protocol.toFixed(2)} s`;
  const what = `Nix ${version}: ${count.toLocaleString('en')} builds, ${shape}`;
  row(
    what,
    `${own.toFixed(2)} s, x ${(own / peer).toFixed(2)}`,
    `wanted: x ${most} of ${independent ? 'nix-build' : 'the faster'}; nix-build ${nixBuild.toFixed(2)} s${bareToo}; ${costs.run.length} rounds`,
  );
  const processors = (all: readonly Cost[]) => `${median(all.map((cost) => cost.processor)).toFixed(2)} s`;
  row('  processor time', processors(costs.run), `nix-build ${processors(costs.nixBuild)}`);
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
