/**
 * Kills the server or its database at random moments while 60 builds run, many times, and looks
 * whether every gate ends right, no build ever had two attempts at once, and nothing is stuck.
 *
 *     npx tsx scripts/soak.ts [ROUNDS]
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { silentLogger } from '../src/basics/index.ts';
import { findEmbeddedPostgres, openDatabase } from '../src/postgres/index.ts';
import { startGitHubDouble } from '../test/github-double/index.ts';
import { ciNix } from '../test/support/nix-files.ts';
import { newDataDir, startProduct } from '../test/support/product.ts';
import { verdictOn } from '../test/support/verdict.ts';

const rounds = Number(process.argv[2] ?? 15);
const chains = 20;

/** Twenty chains of three; the second of every fifth chain fails, so that its third is never built. */
const body = `builtins.listToAttrs (builtins.concatLists (builtins.genList (n: let
    i = toString n;
    first = build "first-\${i}" "sleep 0.\${i}; echo \${i}; echo > $out";
    second = build "second-\${i}" "echo \${first}; sleep 0.2; echo > $out\${if n == 5 * (n / 5) then "; exit 1" else ""}";
    third = build "third-\${i}" "echo \${second}; echo > $out";
  in [
    { name = "first-\${i}"; value = first; }
    { name = "second-\${i}"; value = second; }
    { name = "third-\${i}"; value = third; }
  ]) ${chains}))`;

const countRow = z.object({ rows: z.array(z.object({ count: z.number() })) });
/** What must not be, and how to count it. */
const faults: Readonly<Record<string, string>> = {
  'two attempts at once': `SELECT count(*) FROM attempts a JOIN attempts b ON a.build_id = b.build_id AND a.id < b.id
    WHERE b.started_at < coalesce(a.finished_at, 'infinity')`,
  'builds that did not end': 'SELECT count(*) FROM builds WHERE finished_at IS NULL',
  'attempts that still run': "SELECT count(*) FROM attempts WHERE state = 'running'",
  'evaluations that did not end': 'SELECT count(*) FROM evaluations WHERE finished_at IS NULL',
  'jobs with no result': 'SELECT count(*) FROM jobs WHERE build_id IS NULL AND NOT cached AND error IS NULL',
};

const double = await startGitHubDouble();
const data = await newDataDir();
let product = await startProduct({ double, dataDir: data.path });
await double.createRepository({ name: 'soak/acme' });
let wrong = 0;
for (let round = 1; round <= rounds; round += 1) {
  const began = performance.now();
  const { sha } = await double.push({ repo: 'soak/acme', files: { 'ci.nix': ciNix(body) } });
  const kills: string[] = [];
  for (let kill = 0; kill < 3; kill += 1) {
    await pause(Math.random() * 2_500);
    const victim = Math.random() < 0.5 ? 'server' : 'database';
    kills.push(victim);
    if (victim === 'database') await killDatabase();
    else {
      await product.kill();
      product = await startProduct({ double, dataDir: data.path });
    }
  }
  const gate = (await verdictOn(double, sha, 120_000)).get('ringmaster');
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const problems = [
    ...(gate?.conclusion === 'failure' ? [] : [`the gate says ${gate?.conclusion}`]),
    ...(await countFaults()),
    ...(await wrongEnds(round)),
  ];
  wrong += problems.length;
  console.log(`round ${round}: ${seconds} s, killed ${kills.join(', ')}: ${problems.join('; ') || 'right'}`);
}
await product.stop();
await double.close();
await data.remove();
process.exit(wrong === 0 ? 0 : 1);

async function killDatabase(): Promise<void> {
  const text = await readFile(`${data.path}/postgres/data/postmaster.pid`, 'utf8').catch(() => '');
  const pid = Number(text.split('\n')[0]);
  if (!pid) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was gone already: killed in the round before, and not yet back.
  }
}

async function count(sql: string): Promise<number> {
  const database = await openDatabase((await findEmbeddedPostgres(data.path)) ?? '', silentLogger());
  try {
    return countRow.parse(await database.knex.raw(sql)).rows[0]?.count ?? -1;
  } finally {
    await database.close();
  }
}

async function countFaults(): Promise<string[]> {
  const found: string[] = [];
  for (const [what, sql] of Object.entries(faults)) {
    const number = await count(sql);
    if (number !== 0) found.push(`${number} ${what}`);
  }
  return found;
}

/** Of each round's builds 52 succeed (20 + 16 + 16), 4 fail and 4 depend on these. */
async function wrongEnds(round: number): Promise<string[]> {
  const expected = { succeeded: 52, failed: 4, 'dependency-failed': 4 };
  const found: string[] = [];
  for (const [state, number] of Object.entries(expected)) {
    const ended = await count(
      `SELECT count(*) FROM jobs j JOIN builds b ON b.id = j.build_id WHERE b.state = '${state}'`,
    );
    if (ended !== number * round) found.push(`${ended} ${state} instead of ${number * round}`);
  }
  return found;
}
