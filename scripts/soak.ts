/**
 * Kills servers, the agent, daemons of Nix and the database at random moments while 200 builds run on
 * four machines under two servers, many times, and looks whether every build ends right, none ever ran
 * twice at once, no result changed afterwards, and nothing is stuck.
 *
 *     npx tsx scripts/soak.ts [ROUNDS] [CHAINS OF THREE BUILDS]
 */
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { silentLogger } from '../src/basics/index.ts';
import {
  lockDataDirectory,
  migrate,
  openDatabase,
  startEmbeddedPostgres,
  untilDatabaseAnswers,
} from '../src/postgres/index.ts';
import { startGitHubDouble } from '../test/github-double/index.ts';
import {
  chains,
  endsOfChains,
  findFaults,
  openCrashGround,
  resultsOf,
  victims,
} from '../test/support/crash-ground.ts';
import { ciNix } from '../test/support/nix-files.ts';
import { newDataDir } from '../test/support/product.ts';
import { verdictOn } from '../test/support/verdict.ts';

const rounds = Number(process.argv[2] ?? 25);
const count = Number(process.argv[3] ?? 67);
/** Milliseconds. Every fifth round the database is away for so long. */
const awayMs = 30_000;
const betweenKillsMs = 10_000;
const verdictMs = 400_000;
const logFile = '/tmp/ringmaster-soak.log';

const log = silentLogger();
const data = await newDataDir();
const lock = await lockDataDirectory(data.path);
const startDatabase = () => startEmbeddedPostgres({ lock, searchPath: process.env.PATH ?? '', log });
let server = await startDatabase();
const database = await openDatabase(server.url, log);
await migrate(database, log);
const double = await startGitHubDouble();
const ground = await openCrashGround({
  double,
  databaseUrl: server.url,
  onLog: (who, lines) => void writeFile(logFile, [who, ...lines, ''].join('\n'), { flag: 'a' }),
});

let wrong = 0;
for (let round = 1; round <= rounds; round += 1) {
  const began = performance.now();
  const before = await results();
  // An installation may write 500 times an hour: a new one before that is used up.
  const repo = `soak-${Math.ceil(round / 5)}/acme`;
  if (round % 5 === 1) await double.createRepository({ name: repo });
  const { sha } = await double.push({ repo, files: { 'ci.nix': ciNix(chains(count)) } });
  const seen = new Map<string, string>();
  const killed: string[] = [];
  for (let kill = 0; kill < 3; kill += 1) {
    await pause(Math.random() * betweenKillsMs);
    for (const [job, result] of await results()) seen.set(job, result);
    killed.push(await killOne(round % 5 === 0 && kill === 1));
  }
  const problems: string[] = [];
  const gate = await verdictOn(double, sha, verdictMs)
    .then((checks) => checks.get('ringmaster')?.conclusion)
    .catch(() => 'nothing');
  if (gate !== 'failure') problems.push(`the gate says ${gate}`);
  problems.push(...(await untilDatabaseAnswers(log, undefined, () => findFaults(database.knex))));
  const last = await results();
  const changed = [...seen].filter(([job, result]) => last.get(job) !== result).length;
  if (changed > 0) problems.push(`${changed} results changed`);
  for (const [state, number] of Object.entries(endsOfChains(count))) {
    const ended = [...last].filter(([job, result]) => !before.has(job) && result === state).length;
    if (ended !== number) problems.push(`${ended} ${state} instead of ${number}`);
  }
  if (ground.doubled.size > 0) problems.push(`ran twice at once: ${[...ground.doubled].join(', ')}`);
  wrong += problems.length;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`round ${round}: ${seconds} s, killed ${killed.join(', ')}: ${problems.join('; ') || 'right'}`);
}
await ground.close();
await double.close();
await database.close();
await server.stop();
await lock.release();
await data.remove();
process.exit(wrong === 0 ? 0 : 1);

async function killOne(away: boolean): Promise<string> {
  const among = [...victims, 'database' as const];
  const victim = away ? 'database' : (among[Math.floor(Math.random() * among.length)] ?? 'server');
  if (victim !== 'database') {
    await ground.kill(victim);
    return victim;
  }
  const text = await readFile(`${data.path}/postgres/data/postmaster.pid`, 'utf8').catch(() => '');
  const pid = Number(text.split('\n')[0]);
  if (pid) process.kill(pid, 'SIGKILL');
  if (!away) return victim;
  await server.stop();
  await pause(awayMs);
  server = await startDatabase();
  return `database for ${awayMs / 1000} s`;
}

function results(): Promise<ReadonlyMap<string, string>> {
  return untilDatabaseAnswers(log, undefined, () => resultsOf(database.knex));
}
