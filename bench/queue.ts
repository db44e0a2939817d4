/**
 * The build queue at scale: 500 simulated builders that answer at once, and queues of 1,000, 10,000
 * and 100,000 ready builds of ten projects; then two scheduler processes on one database.
 *
 *   npx tsx bench/queue.ts [--builders 500] [--sizes 1000,10000,100000]
 *
 * A dispatch is a claim and a recorded result, in the built-in PostgreSQL on this machine, which
 * flushes to disk as it does for users. What follows from ended builds (reports, pages) is not in it.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Knex } from 'knex';
import { z } from 'zod';
import { silentLogger } from '../src/basics/index.ts';
import { type Builder, createBuilderFleet } from '../src/builders/index.ts';
import { claimBuilds, startDispatcher } from '../src/builds/index.ts';
import { lockDataDirectory, openDatabase, registerProcess } from '../src/postgres/index.ts';
import { openStorage } from '../src/server/storage.ts';
import { median, row } from './report.ts';

const { values } = parseArgs({
  options: {
    builders: { type: 'string', default: '500' },
    sizes: { type: 'string', default: '1000,10000,100000' },
    /** Used for the scheduler processes that this one starts. */
    scheduler: { type: 'string' },
    ids: { type: 'string', default: '' },
  },
});
const log = silentLogger();
const system = 'x86_64-linux';
const countRows = z.object({ rows: z.array(z.object({ count: z.number() })) });

if (values.scheduler) await beScheduler(values.scheduler, values.ids.split(',').map(Number));
else await measure();

function simulated(id: number): Builder {
  return {
    id,
    name: `builder-${id}`,
    kind: 'local',
    systems: [system],
    features: [],
    mandatoryFeatures: [],
    trustDomains: ['trusted'],
    slots: 1,
    speed: 1,
    accepting: true,
    probe: async () => {},
    attempt: async () => {
      const now = new Date();
      return { status: 'built', message: '', outputs: {}, startedAt: now, finishedAt: now };
    },
    close: async () => {},
  };
}

async function count(db: Knex, sql: string): Promise<number> {
  return countRows.parse(await db.raw(sql)).rows[0]?.count ?? Number.NaN;
}

/** Schedules until the queue is empty. */
async function drain(url: string, ids: readonly number[]): Promise<void> {
  const database = await openDatabase(url, log);
  const registration = await registerProcess(database, { roles: [], taskWorkerIds: [], log });
  const fleet = createBuilderFleet();
  for (const id of ids) fleet.add(simulated(id));
  const dispatcher = startDispatcher({
    db: database.knex,
    fleet,
    processId: registration.id,
    timeoutSeconds: 0,
    maxSilentSeconds: 0,
    onBuildsChanged: async () => {},
    log,
  });
  const left = "SELECT count(*) FROM (SELECT FROM builds WHERE state IN ('queued', 'building') LIMIT 1) b";
  while ((await count(database.knex, left)) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await dispatcher.stop(0);
  await registration.deregister();
  await database.close();
}

async function beScheduler(url: string, ids: readonly number[]): Promise<void> {
  process.send?.('ready');
  await once(process, 'message');
  await drain(url, ids);
  process.disconnect();
}

async function fill(db: Knex, builds: number): Promise<void> {
  await db.raw('TRUNCATE builds, attempts, build_inputs, build_durations CASCADE');
  await db.raw(
    `INSERT INTO builds (drv_path, name, system, state, project_id, remaining_ms)
     SELECT '/nix/store/' || n || '.drv', 'build-' || n, ?, 'queued', 1 + n % 10, (n * 7919) % 100000
     FROM generate_series(1, ?) AS n`,
    [system, builds],
  );
  // As after some time of use; the first claims of a queue that has just grown do without.
  await db.raw('ANALYZE builds');
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

/** Milliseconds of claims for one free slot. */
async function claimLatencies(db: Knex, builderId: number, processId: number): Promise<number[]> {
  const builders = [{ ...simulated(builderId), free: 1 }];
  const times: number[] = [];
  for (let round = 0; round < 200; round += 1) {
    const began = performance.now();
    await db.transaction((trx) => claimBuilds(trx, { builders, processId }));
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b);
}

async function together(url: string, groups: readonly (readonly number[])[]): Promise<number> {
  const file = fileURLToPath(import.meta.url);
  const processes = groups.map((ids) => fork(file, ['--scheduler', url, '--ids', ids.join(',')]));
  await Promise.all(processes.map((child) => once(child, 'message')));
  return seconds(async () => {
    const ended = processes.map((child) => once(child, 'exit'));
    for (const child of processes) child.send('go');
    await Promise.all(ended);
  });
}

async function measure(): Promise<void> {
  const folder = await mkdtemp('/var/tmp/ringmaster-bench-queue-');
  const lock = await lockDataDirectory(folder);
  const storage = await openStorage({
    lock,
    databaseUrl: undefined,
    binaries: undefined,
    searchPath: process.env.PATH ?? '',
    log,
  });
  try {
    await measureOn(storage.database.knex, storage.database.url);
  } finally {
    await storage.close();
    await lock.release();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureOn(db: Knex, url: string): Promise<void> {
  const registered: unknown = await db('processes')
    .insert({ host: 'bench', boot_id: 'b', pid_namespace: 'n', pid: 1, pid_started: '1' })
    .returning('id');
  const [process] = z.array(z.object({ id: z.number() })).parse(registered);
  const inserted: unknown = await db.raw(
    `INSERT INTO builders (name, kind, systems, slots) SELECT 'builder-' || n, 'local', ARRAY[?], 1
     FROM generate_series(1, ?) AS n RETURNING id`,
    [system, Number(values.builders)],
  );
  const ids = z
    .object({ rows: z.array(z.object({ id: z.number() })) })
    .parse(inserted)
    .rows.map(({ id }) => id);
  const perDispatch = new Map<number, number>();
  for (const size of values.sizes.split(',').map(Number)) {
    await fill(db, size);
    const times = await claimLatencies(db, ids[0] ?? 0, process?.id ?? 0);
    const at = (share: number) => (times[Math.floor(times.length * share)] ?? Number.NaN).toFixed(1);
    row(`queue of ${size}: one claim, p50 / p99`, `${at(0.5)} / ${at(0.99)} ms`, 'not more with more');
    // A short queue is over before the clock has ticked: several, one after the other.
    const rounds = Math.max(1, Math.min(5, Math.round(10_000 / size)));
    const taken: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      await fill(db, size);
      taken.push(await together(url, [ids]));
    }
    const rate = size / median(taken);
    perDispatch.set(size, 1000 / rate);
    row(`queue of ${size}: dispatches a second`, rate.toFixed(0), 'at least 1000');
  }
  const sizes = [...perDispatch.keys()];
  const [small, large] = [Math.min(...sizes), Math.max(...sizes)];
  const ratio = (perDispatch.get(large) ?? Number.NaN) / (perDispatch.get(small) ?? Number.NaN);
  row(`cost of a dispatch: ${large} to ${small}`, `${ratio.toFixed(2)} x`, 'at most 1.5 x');
  await benchTwo(db, url, ids, large, perDispatch.get(large) ?? Number.NaN);
}

async function benchTwo(
  db: Knex,
  url: string,
  ids: readonly number[],
  size: number,
  aloneMs: number,
): Promise<void> {
  await fill(db, size);
  const half = Math.ceil(ids.length / 2);
  const taken = await together(url, [ids.slice(0, half), ids.slice(half)]);
  const ratio = (aloneMs * size) / 1000 / taken;
  row(
    `two schedulers: dispatches a second (${ratio.toFixed(2)} x one)`,
    (size / taken).toFixed(0),
    'at least 1.0 x',
  );
  const twice = await count(
    db,
    'SELECT count(*) FROM (SELECT build_id FROM attempts GROUP BY build_id HAVING count(*) > 1) a',
  );
  const open = await count(db, "SELECT count(*) FROM builds WHERE state <> 'succeeded'");
  row(`two schedulers: claimed twice / not built, of ${size}`, `${twice} / ${open}`, '0 / 0');
}
