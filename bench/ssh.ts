/**
 * How long independent trivial builds take on one ssh builder on the loopback interface, against the
 * same on the local builder, two at a time, each in new stores, from the first attempt to the last
 * output in the local store:
 *
 *   npx tsx bench/ssh.ts [--builds 100] [--rounds 3]
 *
 * The Nix on PATH is measured. The rounds alternate, so that a busy machine is busy for both. Logging
 * in is part of what is measured.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import PQueue from 'p-queue';
import { silentLogger } from '../src/basics/logging.ts';
import { runProcess } from '../src/basics/process.ts';
import type { Builder } from '../src/builders/index.ts';
import { createLocalBuilder } from '../src/builders/local-builder.ts';
import { createSshBuilder } from '../src/builders/ssh-builder.ts';
import { detectNix, type LocalNix, openLocalStore } from '../src/nix/index.ts';
import { startSshd } from '../test/support/sshd.ts';
import { median, row } from './report.ts';

const { values } = parseArgs({
  options: { builds: { type: 'string', default: '100' }, rounds: { type: 'string', default: '3' } },
});
const builds = Number(values.builds);
const rounds = Number(values.rounds);
const slots = 2;
const folder = await mkdtemp('/var/tmp/ringmaster-bench-ssh-');
const logger = silentLogger();

function freshNix(name: string): Promise<LocalNix> {
  const home = join(folder, name);
  const store = join(home, 'store');
  return detectNix(process.env, { home, sandbox: 'required', store, config: 'substituters =' });
}

async function instantiate(nix: LocalNix): Promise<string[]> {
  const expression = `builtins.genList (n: derivation {
    name = "trivial-\${toString n}"; system = builtins.currentSystem;
    builder = "/bin/sh"; args = [ "-c" "echo \${toString n} > $out" ];
  }) ${builds}`;
  const made = await runProcess(nix.programs['nix-instantiate'], ['--expr', expression], {
    env: nix.environment,
  });
  if (made.exitCode !== 0) throw new Error(made.stderr);
  return made.stdout.trim().split('\n');
}

async function buildAll(builder: Builder, drvPaths: readonly string[]): Promise<number> {
  const start = performance.now();
  const queue = new PQueue({ concurrency: slots });
  const build = async (drvPath: string) => {
    const { status, message } = await builder.attempt({
      attemptId: 0,
      drvPath,
      outputs: {},
      signal: new AbortController().signal,
      timeoutSeconds: 600,
      maxSilentSeconds: 600,
      onLogLine: () => {},
    });
    if (status !== 'built') throw new Error(`${drvPath}: ${status} ${message}`);
  };
  await queue.addAll(drvPaths.map((drvPath) => () => build(drvPath)));
  return (performance.now() - start) / 1000;
}

async function onLocal(round: number): Promise<number> {
  const nix = await freshNix(`local-${round}`);
  const drvPaths = await instantiate(nix);
  const builder = createLocalBuilder({ store: openLocalStore({ nix, logger }), nix, name: 'local', slots });
  const seconds = await buildAll(builder, drvPaths);
  await builder.close();
  return seconds;
}

async function onSsh(round: number): Promise<number> {
  const nix = await freshNix(`ssh-${round}`);
  const drvPaths = await instantiate(nix);
  const sshd = await startSshd({ nixConfig: nix.environment.NIX_CONFIG ?? '' });
  const local = openLocalStore({ nix, logger });
  const builder = createSshBuilder({
    name: 'far',
    uri: sshd.address({
      'remote-store': join(sshd.folder, 'store'),
      'remote-program': nix.programs['nix-daemon'],
    }),
    local,
    layout: nix.layout,
    env: nix.environment,
    logger,
    systems: [nix.system],
    features: nix.systemFeatures,
    slots,
  });
  try {
    return await buildAll(builder, drvPaths);
  } finally {
    await builder.close();
    await local.close();
    await sshd.close();
  }
}

const local: number[] = [];
const ssh: number[] = [];
try {
  for (let round = 0; round < rounds; round++) {
    local.push(await onLocal(round));
    ssh.push(await onSsh(round));
    console.log(
      `round ${round + 1}: local ${local[round]?.toFixed(2)} s, ssh on loopback ${ssh[round]?.toFixed(2)} s`,
    );
  }
  const ratio = median(ssh) / median(local);
  row(`${builds} derivations, ssh builder / local builder, ${slots} slots`, ratio.toFixed(2), 'at most 1.5');
} finally {
  await rm(folder, { recursive: true, force: true });
}
