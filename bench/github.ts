/**
 * GitHub's limits and its deliveries, against the double on this machine:
 *
 *   npx tsx bench/github.ts [limits | deliveries | queue]
 *
 * - 3,000 attributes of which 60 fail, with 120 warnings, over an hour of building: by a clock of its
 *   own, so that the hour takes as long as the planning and sending of it does.
 * - 1,000 deliveries in ten seconds, without and with a kill -9 in the middle.
 * - A merge queue's commit whose tree is known, from the event to the green gate.
 *
 * The last two start the program from its sources.
 */
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import { z } from 'zod';
import { silentLogger } from '../src/basics/index.ts';
import { lockDataDirectory } from '../src/postgres/index.ts';
import { openStorage } from '../src/server/storage.ts';
import { type GitHubDouble, startGitHubDouble } from '../test/github-double/index.ts';
import { ciNix } from '../test/support/nix-files.ts';
import { newDataDir, type Product, startProduct } from '../test/support/product.ts';
import { type Commit, type Reporting, startReporting } from '../test/support/reporting.ts';
import { verdictOn } from '../test/support/verdict.ts';
import { median, row } from './report.ts';

const log = silentLogger();
const countRows = z.object({ rows: z.array(z.object({ count: z.number() })) });

/** Milliseconds that a phase may take; the bench ends whatever happens. */
const mostMs = { answers: 40_000, workingOff: 30_000, redelivery: 40_000 };

// Also as `npm run bench -- github limits`.
const [only] = process.argv.slice(2).filter((word) => word !== 'github');
const wanted = (part: string) => only === undefined || only === part;
if (wanted('limits')) await withDatabase(benchLimits);
if (wanted('deliveries')) {
  await withDatabase((db, url) => benchDeliveries(db, url, false));
  await withDatabase((db, url) => benchDeliveries(db, url, true));
}
if (wanted('queue')) await benchMergeQueue();

async function withDatabase(act: (db: Knex, url: string) => Promise<void>): Promise<void> {
  const data = await newDataDir();
  const lock = await lockDataDirectory(data.path);
  const storage = await openStorage({
    lock,
    databaseUrl: undefined,
    binaries: undefined,
    searchPath: process.env.PATH ?? '',
    log,
  });
  try {
    await act(storage.database.knex, storage.database.url);
  } finally {
    await storage.close();
    await lock.release();
    await rm(data.path, { recursive: true, force: true });
  }
}

async function benchLimits(db: Knex): Promise<void> {
  const attributes = 3000;
  const failing = 60;
  const minutes = 60;
  const reporting = await startReporting(db);
  const project = await reporting.newProject('bench/big');
  const second = await reporting.newProject('bench/small');
  const notices = Array.from({ length: 120 }, (_, line) => ({
    message: `evaluation warning: ${line}`,
    file: 'ci.nix',
    line: line + 1,
  }));
  const commit = await reporting.newCommit(project, attributes, notices);
  await reporting.plan(commit);
  const rounds = minutes * 4;
  const perRound = Math.ceil(attributes / rounds);
  for (let round = 0; round < rounds; round++) {
    const now = commit.builds.slice(round * perRound, (round + 1) * perRound);
    const bad = now.filter((_, index) => (round * perRound + index) % (attributes / failing) === 0);
    await reporting.endBuilds(now, 'succeeded');
    await reporting.endBuilds(bad, 'failed');
    if (round === rounds / 2) refuseOnce(reporting);
    await reporting.plan(commit);
    await reporting.pass('bench', 15);
  }
  await reporting.endEvaluation(commit, 'failed');
  await reporting.plan(commit);
  const small = await reporting.newCommit(second, 5);
  await endAll(reporting, small);
  const isOver = (one: Commit) => reporting.gateOf(one)?.status === 'completed';
  const gate = await reporting.until('bench', 300, () => isOver(commit));
  const other = await reporting.until('bench', 300, () => isOver(small));
  await reporting.pass('bench', 120);
  const ofBig = reporting.contentWrites().filter(({ path, body }) => path.includes('/bench/big/') && body);
  row(`${attributes} attributes, ${failing} failing: content writes`, String(ofBig.length), 'at most 120');
  row('  last build -> gate terminal', `${gate} s`, 'at most 60 s, by the virtual clock');
  row('  gate of a second repository meanwhile', `${gate + other} s`, 'at most 60 s');
  await benchBurst(reporting, project, second);
  const limited = reporting.double.journal.calls.filter((call) => call.limited).length;
  row('  calls that met a limit of the double', String(limited), '0');
  await reporting.close();
}

/** The same all at once: everything ends within a second, with a 403 on the way and another repository. */
async function benchBurst(
  reporting: Reporting,
  big: { readonly id: number; readonly name: string },
  small: { readonly id: number; readonly name: string },
): Promise<void> {
  const before = reporting.contentWrites().length;
  await reporting.pass('bench', 3600);
  const commit = await reporting.newCommit(big, 3000);
  const other = await reporting.newCommit(small, 40);
  await reporting.endBuilds(commit.builds.slice(0, 60), 'failed');
  await reporting.endBuilds(commit.builds.slice(60), 'succeeded');
  await reporting.endEvaluation(commit, 'failed');
  await reporting.plan(commit);
  await endAll(reporting, other);
  refuseOnce(reporting);
  const over = (one: Commit) => () => reporting.gateOf(one)?.status === 'completed';
  const gate = await reporting.until('bench', 300, over(commit));
  const second = await reporting.until('bench', 300, over(other));
  await reporting.pass('bench', 300);
  const writes = reporting.contentWrites().length - before;
  row('  both at once, a 403 among 90 writes: both gates after', `${gate + second} s`, 'at most 60 s');
  row('  content writes of both', String(writes), 'no figure asked');
}

function refuseOnce(reporting: Reporting): void {
  reporting.double.faults.inject({ kind: 'secondary-limit', retryAfter: 30, method: 'POST', after: 20 });
}

async function endAll(reporting: Reporting, commit: Commit): Promise<void> {
  await reporting.endBuilds(commit.builds, 'succeeded');
  await reporting.endEvaluation(commit, 'succeeded');
  await reporting.plan(commit);
}

/** Milliseconds until the condition holds; undefined when it did not in time. */
async function untilTrue(condition: () => Promise<boolean>, limitMs: number): Promise<number | undefined> {
  const begin = performance.now();
  while (!(await condition())) {
    if (performance.now() - begin > limitMs) return undefined;
    await sleep(100);
  }
  return performance.now() - begin;
}

function inTime(milliseconds: number | undefined, limitMs: number): string {
  return milliseconds === undefined ? `over ${seconds(limitMs)} s` : `${seconds(milliseconds)} s`;
}

/** Comments that are no commands: each is stored, worked off, and asks for nothing more. */
async function benchDeliveries(db: Knex, url: string, kill: boolean): Promise<void> {
  const count = 1000;
  const double = await startGitHubDouble();
  const start = () => startProduct({ double, env: { DATABASE_URL: url, LOG_LEVEL: 'info' } });
  let product: Product = await start();
  await double.createRepository({ name: 'bench/talk' });
  await double.push({ repo: 'bench/talk', files: { 'README.md': 'hello' } });
  const { number } = await double.openPullRequest({ repo: 'bench/talk', head: 'talk', files: { a: '1' } });
  const first = await double.gestures.comment({
    repo: 'bench/talk',
    number,
    author: 'bench',
    body: 'first',
  });
  const payload = first.delivery?.payload;
  if (!payload) throw new Error('the double does not deliver comments');
  const begin = performance.now();
  const again = async (killed: Product) => {
    await killed.kill();
    product = await start();
  };
  const sent: ReturnType<GitHubDouble['deliver']>[] = [];
  let restarted: Promise<void> = Promise.resolve();
  for (let index = 0; index < count; index++) {
    const due = begin + index * (10_000 / count);
    if (due > performance.now()) await sleep(due - performance.now());
    if (kill && index === count / 2) restarted = again(product);
    sent.push(double.deliver('issue_comment', { ...payload, bench: index }));
  }
  const late = sleep(mostMs.answers, 'late' as const, { ref: false });
  const deliveries = await Promise.race([Promise.all(sent), late]);
  await restarted;
  const what = kill ? '1,000 deliveries in 10 s, kill -9 in the middle' : '1,000 deliveries in 10 s';
  if (deliveries === 'late') {
    row(`${what}: answered`, `over ${seconds(mostMs.answers)} s`, 'all');
    await product.kill();
    await double.close();
    return;
  }
  const accepted = deliveries.filter(({ statusCode }) => statusCode === 202);
  const times = accepted.map(({ duration }) => duration).toSorted((a, b) => a - b);
  const p99 = times[Math.floor(times.length * 0.99)] ?? Number.NaN;
  row(`${what}: accepted`, String(accepted.length), kill ? 'those sent while it ran' : 'all');
  row('  answer, median and 99th of 100', `${median(times)}, ${p99} ms`, 'p99 under 500 ms');
  const countOf = async (guids: readonly string[], condition: string) =>
    countRows.parse(
      await db.raw(`SELECT count(*) FROM deliveries WHERE id = ANY(?) AND ${condition}`, [[...guids]]),
    ).rows[0]?.count;
  const guids = accepted.map(({ guid }) => guid);
  const done = 'processed_at IS NOT NULL';
  const ended = await untilTrue(async () => (await countOf(guids, done)) === guids.length, mostMs.workingOff);
  row('  last answer -> all accepted worked off', inTime(ended, mostMs.workingOff), 'no figure asked');
  row('  accepted and lost', String(guids.length - ((await countOf(guids, 'true')) ?? 0)), '0');
  if (kill) {
    // What nobody heard is asked for again by the sweep; GitHub's list is trusted after a minute.
    await sleep(61_000);
    await again(product);
    const all = deliveries.map(({ guid }) => guid);
    const had = await untilTrue(async () => (await countOf(all, done)) === count, mostMs.redelivery);
    const missing = count - ((await countOf(all, done)) ?? 0);
    row('  not heard, asked for again: until all were there', inTime(had, mostMs.redelivery), '150 a minute');
    row('  still to come', String(missing), 'no figure asked');
  }
  await product.stop();
  await double.close();
}

async function benchMergeQueue(): Promise<void> {
  const double = await startGitHubDouble();
  const data = await newDataDir();
  const product = await startProduct({ double, dataDir: data.path, env: { LOG_LEVEL: 'info' } });
  const repo = 'bench/queue';
  await double.createRepository({ name: repo });
  await double.push({ repo, files: { 'README.md': 'hello' } });
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    const job = `build "r${round}" "echo > $out"`;
    const { number, headSha } = await double.openPullRequest({
      repo,
      head: `better-${round}`,
      files: { 'ci.nix': ciNix(`{ a = ${job}; }`) },
    });
    await verdictOn(double, headSha);
    const begin = performance.now();
    const { sha } = await double.gestures.enqueue(repo, number);
    await double.waitFor(() => double.latestCheckRuns(sha).get('ringmaster')?.conclusion === 'success', {
      timeoutMs: 60_000,
    });
    times.push(performance.now() - begin);
  }
  const worst = Math.max(...times);
  row('merge-queue commit of a known tree -> green gate, median', `${seconds(median(times))} s`, 'under 3 s');
  row('  the slowest of five', `${seconds(worst)} s`, 'under 3 s');
  await product.stop();
  await double.close();
  await data.remove();
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(2);
}
