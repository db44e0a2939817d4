/**
 * The main job, warm, against the GitHub double on this machine: from the delivery of a push to the
 * gate in progress, and to everything green for three trivial jobs. Also what an idle server costs.
 */
import { readFile } from 'node:fs/promises';
import { startGitHubDouble } from '../test/github-double/index.ts';
import { ciNix } from '../test/support/nix-files.ts';
import { newDataDir, startProduct } from '../test/support/product.ts';
import { verdictOn } from '../test/support/verdict.ts';
import { median, row } from './report.ts';

const rounds = 7;

/** Prints its figures. */
export async function benchMainJob(): Promise<void> {
  const double = await startGitHubDouble();
  const data = await newDataDir();
  // The first start creates the database; the second is the one that is measured.
  await (await startProduct({ double, dataDir: data.path, built: true })).stop();
  const begin = performance.now();
  const product = await startProduct({ double, dataDir: data.path, built: true, env: { LOG_LEVEL: 'info' } });
  row('serve: start to listening, warm', `${seconds(performance.now() - begin)} s`, 'under 3 s');

  await double.createRepository({ name: 'bench/warm' });
  const toGate: number[] = [];
  const toGreen: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const { sha } = await double.push({
      repo: 'bench/warm',
      announce: false,
      files: {
        'ci.nix': ciNix(
          '{ a = build "a" "echo > $out"; b = build "b" "echo > $out"; c = build "c" "echo > $out"; }',
        ),
      },
    });
    const pushed = performance.now();
    const announced = double.announce('bench/warm');
    await double.waitFor(() =>
      double.checkRuns(sha).some((run) => run.name === 'ringmaster' && run.status !== 'queued'),
    );
    const gate = performance.now() - pushed;
    await verdictOn(double, sha);
    const green = performance.now() - pushed;
    await announced;
    // The first round warms up.
    if (round === 0) continue;
    toGate.push(gate);
    toGreen.push(green);
  }
  row('push delivered -> gate in progress, median', `${seconds(median(toGate))} s`, 'under 1 s');
  row('push delivered -> all green, 3 trivial jobs, median', `${seconds(median(toGreen))} s`, 'under 5 s');
  await product.stop();

  const idle = await startProduct({ double, dataDir: data.path, built: true, env: { LOG_LEVEL: 'info' } });
  await idle.get('/readyz');
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  row(
    'serve: resident memory of the Node process, idle',
    `${await residentMegabytes(idle.pid)} MB`,
    'under 150 MB',
  );
  await idle.stop();
  await double.close();
  await data.remove();
}

async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(status.match(/VmRSS:\s+(\d+) kB/)?.[1] ?? 0) / 1024);
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(2);
}
