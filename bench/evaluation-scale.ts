/**
 * Large evaluations through the coordinator, with a real database and Nix, without git and builders:
 * how long after the last attribute all builds are queued, how long a known result takes, and how
 * much memory our process needs for more attributes.
 *
 *   npx tsx --expose-gc bench/evaluation-scale.ts [memory] [planning] [valid]
 *
 * Without a word all three. `--expose-gc` shows what is held, beside what was taken from the system.
 */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { keepHeapSmall, silentLogger } from '../src/basics/index.ts';
import { createMissingPlanner } from '../src/builds/index.ts';
import {
  createEvaluator,
  createWitnesses,
  createWitnessMaker,
  defaultEvaluationLimits,
  startCoordinator,
} from '../src/evaluations/index.ts';
import { createPendingDerivations, createTextWriter, detectNix, openLocalStore } from '../src/nix/index.ts';
import { lockDataDirectory } from '../src/postgres/index.ts';
import { openStorage } from '../src/server/storage.ts';
import { row } from './report.ts';

// As a server does.
keepHeapSmall();
const log = silentLogger();
const folder = await mkdtemp(join(tmpdir(), 'ringmaster-bench-scale-'));

interface Measured {
  /** From the last event of the evaluator until all builds were queued, and until it had ended. */
  readonly queuedMs: number;
  readonly endedMs: number;
  /** From the claim until the first builds were queued, and until the last event came. */
  readonly firstQueuedMs: number;
  readonly evaluatedMs: number;
  readonly wholeMs: number;
  readonly peakMegabytes: number;
  /** Of the heap, at the end, of what cannot be let go; 0 where nobody can tell. */
  readonly heldMegabytes: number;
}

const asked = new Set(process.argv.slice(2));
const wants = (part: 'memory' | 'planning' | 'valid') => asked.size === 0 || asked.has(part);

/** `count` jobs over a chain of `depth` derivations, or none that depend on each other. */
function ciNix(count: number, depth: number): string {
  return `let
    d = name: inputs: derivation { inherit name inputs; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; nonce = "${process.hrtime.bigint()}"; };
    libs = builtins.foldl' (all: n: all ++ [ (d "lib-\${toString n}" (if all == [ ] then [ ] else [ (builtins.elemAt all (n - 1)) (builtins.elemAt all (n / 2)) ])) ]) [ ] (builtins.genList (n: n) ${depth});
    libOf = n: builtins.elemAt libs (n - n / ${Math.max(depth, 1)} * ${Math.max(depth, 1)});
    job = n: { name = "job-\${toString n}"; value = d "job-\${toString n}" ${depth === 0 ? '[ ]' : '[ (libOf n) (libOf (n * 7)) (libOf (n * 31)) ]'}; };
  in builtins.listToAttrs (map job (builtins.genList (n: n) ${count}))`;
}

async function bench(db: Knex): Promise<void> {
  const nix = await detectNix(process.env, {
    home: join(folder, 'home'),
    sandbox: 'off',
    store: join(folder, 'store'),
    config: 'substituters =',
  });
  const store = openLocalStore({ nix, logger: log });
  const texts = createTextWriter({
    access: nix.access,
    nixDaemon: nix.programs['nix-daemon'],
    env: nix.environment,
  });
  const witnesses = createWitnesses({ storeDir: nix.storeDir, store, texts });
  const makeWitness = createWitnessMaker({ db, witnesses: async () => witnesses });
  const evaluator = await createEvaluator({ nix: { env: nix.environment, store: nix.layout }, log });
  const revisions = await seed(db);
  let lastLine = 0;
  let firstQueued = 0;
  let lastQueued = 0;
  const shares = { plan: 0, write: 0 };
  async function timed<T>(what: keyof typeof shares, work: () => Promise<T>): Promise<T> {
    const begin = performance.now();
    const result = await work();
    shares[what] += performance.now() - begin;
    return result;
  }
  let onEnd = () => {};
  let held = 0;
  let checkout = '';
  const coordinator = startCoordinator({
    db,
    processId: 1,
    concurrency: 1,
    limits: defaultEvaluationLimits,
    evaluator: async () => ({
      evaluate: async function* (request) {
        yield* evaluator.evaluate(request);
        lastLine = performance.now();
      },
      identity: [evaluator.name],
    }),
    look: async () => ({ kind: 'failed', reason: 'every tree is known' }),
    checkOut: async () => ({
      kind: 'ready',
      checkout: { path: checkout, tree: '', title: '', author: '', release: async () => {} },
    }),
    openPlanning: async () => {
      const derivations = createPendingDerivations(texts);
      const planner = createMissingPlanner({ store, layout: nix.layout, derivations, withTexts: true });
      // Their shares of the time in which batches are worked off.
      return {
        planner: { plan: (wishes) => timed('plan', () => planner.plan(wishes)) },
        witnesses,
        derivations: {
          ...derivations,
          write: async (drvPaths: readonly string[]) => {
            await timed('write', () => derivations.write(drvPaths));
            if (wants('memory') && globalThis.gc && lastLine > 0) {
              globalThis.gc();
              const { heapUsed, external } = process.memoryUsage();
              held = (heapUsed + external) / 2 ** 20;
            }
          },
        },
      };
    },
    onRevisionChanged: async (trx, revisionId) => {
      const found = await trx('evaluations').where({ revision_id: revisionId }).orderBy('id', 'desc').first();
      if (found.job_count > 0 && firstQueued === 0) firstQueued = performance.now();
      if (found.state === 'evaluating') lastQueued = performance.now();
      if (found.state === 'queued' || found.state === 'evaluating') return;
      onEnd();
    },
    log,
  });

  async function evaluate(tree: string): Promise<Measured> {
    const revision = await revisions.add(tree);
    const ended = new Promise<void>((resolve) => {
      onEnd = resolve;
    });
    globalThis.gc?.();
    let peak = process.memoryUsage().rss;
    const sampler = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, 10);
    firstQueued = 0;
    lastLine = 0;
    held = 0;
    shares.plan = 0;
    shares.write = 0;
    const began = performance.now();
    coordinator.wake();
    await ended;
    await db('revisions').where({ id: revision }).forUpdate();
    const end = performance.now();
    clearInterval(sampler);
    return {
      queuedMs: Math.max(0, lastQueued - lastLine),
      endedMs: end - lastLine,
      firstQueuedMs: firstQueued - began,
      evaluatedMs: lastLine - began,
      wholeMs: end - began,
      peakMegabytes: peak / 2 ** 20,
      heldMegabytes: held,
    };
  }

  async function newTree(count: number, depth: number): Promise<string> {
    checkout = join(await mkdtemp(join(folder, 'checkout-')), 'source');
    await mkdir(checkout);
    await writeFile(join(checkout, 'ci.nix'), ciNix(count, depth));
    return process.hrtime.bigint().toString(16).padStart(40, '0');
  }

  row('evaluator', evaluator.name, '');
  if (wants('memory')) {
    const small = await evaluate(await newTree(1_000, 0));
    const ofSmall = `held at the end: ${small.heldMegabytes.toFixed(1)} MB`;
    row('1,000 attributes: peak memory', `${small.peakMegabytes.toFixed(0)} MB`, ofSmall);
    const large = await evaluate(await newTree(20_000, 0));
    const growth = large.peakMegabytes - small.peakMegabytes;
    row('20,000 attributes: more than that', `${growth.toFixed(0)} MB`, 'wanted: < 60 MB');
    row('  held at the end', `${large.heldMegabytes.toFixed(1)} MB`, '');
  }
  for (let run = 0; wants('planning') && run < 3; run += 1) {
    const tree = await newTree(5_000, 400);
    const { queuedMs, endedMs, firstQueuedMs, evaluatedMs } = await evaluate(tree);
    row('5,000 jobs, graph 400 deep: last line to queued', `${queuedMs.toFixed(0)} ms`, 'wanted: < 1000 ms');
    row('  last line to derivations written', `${endedMs.toFixed(0)} ms`, 'builds do not wait for that');
    row('  first builds queued', `${firstQueuedMs.toFixed(0)} ms`, `evaluated: ${evaluatedMs.toFixed(0)} ms`);
    row(
      '  all of planning, all of writing derivations',
      `${shares.plan.toFixed(0)} ms`,
      `${shares.write.toFixed(0)} ms`,
    );
    const again = await evaluate(tree);
    row('  the same tree again, all to build', `${again.wholeMs.toFixed(0)} ms`, '');
  }
  for (const count of wants('valid') ? [100, 1_000, 5_000, 20_000] : []) {
    const tree = await newTree(count, 0);
    await evaluate(tree);
    await realiseAll();
    await db('evaluations').update({ reuse_key: null });
    const { endedMs } = await evaluate(tree);
    row(
      `${count} jobs, all valid, evaluated anew: last line to settled`,
      `${endedMs.toFixed(0)} ms`,
      'wanted: < 2000 ms for 5,000',
    );
    const plain = await knownTimes(tree);
    row(`${count} jobs known and valid, not witnessed: claimed to settled`, plain, 'median of 5');
    const newest: { id: number } = await db('evaluations').orderBy('id', 'desc').first('id');
    const began = performance.now();
    await makeWitness({ id: newest.id });
    row('  making the witness', `${(performance.now() - began).toFixed(0)} ms`, 'in the background, once');
    const wanted = `median of 5, wanted: < ${count > 5_000 ? 100 : 50} ms`;
    row(`${count} jobs known and valid: claimed to settled`, await knownTimes(tree), wanted);
  }

  async function knownTimes(tree: string): Promise<string> {
    const times: number[] = [];
    for (let run = 0; run < 5; run += 1) times.push((await evaluate(tree)).wholeMs);
    const [least, , median, , most] = times.toSorted((a, b) => a - b).map((ms) => ms.toFixed(0));
    return `${median} ms (${least} to ${most})`;
  }

  /** Makes valid what the newest evaluation has queued, as if built, which would take minutes. */
  async function realiseAll(): Promise<void> {
    const rows: { path: string }[] = await db('builds')
      .whereNull('finished_at')
      .select(db.raw(`outputs->>'out' AS path`));
    const paths = rows.map(({ path }) => path);
    const { storeDir, realStoreDir } = nix.layout;
    for (const path of paths) await writeFile(path.replace(storeDir, realStoreDir), 'built');
    const registered = spawnSync(nix.programs['nix-store'], ['--load-db'], {
      env: nix.environment,
      input: paths.map((path) => `${path}\n${'0'.repeat(64)}\n120\n\n0\n`).join(''),
      encoding: 'utf8',
    });
    if (registered.status !== 0) throw new Error(registered.stderr);
    await db('builds').whereNull('finished_at').update({ state: 'succeeded', finished_at: db.fn.now() });
  }
  await coordinator.stop(0);
  await texts.close();
  await store.close();
}

/** A project, a process and a builder that never builds; `add` brings a commit with that tree. */
async function seed(db: Knex) {
  await db('processes').insert({
    host: 'bench',
    boot_id: 'b',
    pid_namespace: 'n',
    pid: 1,
    pid_started: '1',
  });
  await db('builders').insert({
    name: 'none',
    kind: 'local',
    systems: ['x86_64-linux'],
    features: [],
    slots: 1,
  });
  await db('installations').insert({ id: 1, account_login: 'bench' });
  await db('projects').insert({
    github_repository_id: 1,
    installation_id: 1,
    owner: 'bench',
    name: 'bench',
    default_branch: 'main',
    private: false,
  });
  let commits = 0;
  return {
    async add(tree: string): Promise<number> {
      commits += 1;
      const sha = commits.toString(16).padStart(40, '0');
      const [revision]: { id: number }[] = await db('revisions')
        .insert({ project_id: 1, sha, tree, trust: 'trusted' })
        .returning('id');
      if (revision === undefined) throw new Error('no revision');
      await db('evaluations').insert({ revision_id: revision.id });
      return revision.id;
    },
  };
}

const lock = await lockDataDirectory(join(folder, 'data'));
const storage = await openStorage({
  lock,
  databaseUrl: undefined,
  binaries: undefined,
  searchPath: process.env.PATH ?? '',
  log,
});
try {
  await bench(storage.database.knex);
} finally {
  await storage.close();
  await lock.release();
  await rm(folder, { recursive: true, force: true });
}
