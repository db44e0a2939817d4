/**
 * Two servers on one database with four machines (their own two, one behind ssh, one with an agent),
 * any of which can be killed and come back. Free of the test runner: `scripts/soak.ts` stands on it, too.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { nixesUnderTest, openTestNix } from '../../src/nix/test-nix.ts';
import type { Knex } from '../../src/postgres/index.ts';
import type { GitHubDouble } from '../github-double/index.ts';
import { type AgentProcess, newAgentFolder, ringmaster, startAgentProcess } from './agent-process.ts';
import { newDataDir, type Product, startProduct } from './product.ts';
import { startSshd } from './sshd.ts';

export const victims = ['server', 'scheduler', 'agent', 'daemon'] as const;
export type Victim = (typeof victims)[number];

export interface CrashGround {
  /** Kills it with SIGKILL and starts it again; daemons are started by whoever needs them. */
  kill(victim: Victim): Promise<void>;
  /** Names of builds that were seen to run twice at the same time. */
  readonly doubled: ReadonlySet<string>;
  close(): Promise<void>;
}

export interface CrashGroundOptions {
  readonly double: GitHubDouble;
  readonly databaseUrl: string;
  /** More than these of the log of a server that is killed or closed. */
  readonly onLog?: (who: string, lines: readonly string[]) => void;
}

export async function openCrashGround({
  double,
  databaseUrl,
  onLog,
}: CrashGroundOptions): Promise<CrashGround> {
  const [under] = nixesUnderTest;
  if (!under) throw new Error('no Nix to test with');
  const [it, frontData, backData, folder] = await Promise.all([
    openTestNix(under),
    newDataDir(),
    newDataDir(),
    newAgentFolder(),
  ]);
  const sshd = await startSshd({ nixConfig: it.nix.environment.NIX_CONFIG ?? '' });
  const uri = sshd.address({
    'remote-store': join(sshd.folder, 'far'),
    'remote-program': it.nix.programs['nix-daemon'],
  });
  const config = join(frontData.path, 'ringmaster.toml');
  await writeFile(
    config,
    `[[builders]]\nname = "far"\nuri = ${JSON.stringify(uri)}\nsystems = ["${it.nix.system}"]\n`,
  );
  const env = {
    DATABASE_URL: databaseUrl,
    RINGMASTER_BUILDS_SLOTS: '1',
    RINGMASTER_BUILDS_AGENT_LEASE: '5',
    RINGMASTER_BUILDS_BUILDER_REST: '1',
    RINGMASTER_BUILDS_PSI_THRESHOLD: '101',
  };
  let port = '0';
  const startFront = async () => {
    const args = ['--config', config, '--port', port];
    const started = await startProduct({ double, dataDir: frontData.path, env, args });
    port = new URL(started.url).port;
    return started;
  };
  const startBack = () => {
    const args = ['--config', config, '--roles', 'evaluator,scheduler'];
    return startProduct({ double, dataDir: backData.path, env, args });
  };
  let front: Product = await startFront();
  let back: Product = await startBack();
  const added = await ringmaster(['builder', 'add', 'moon', '--json'], env);
  if (added.status !== 0) throw new Error(added.stderr);
  const { token } = z.object({ token: z.string() }).parse(JSON.parse(added.stdout));
  const startAgent = () =>
    startAgentProcess({ server: front.url, token, folder: folder.path, args: ['--slots', '1'] });
  let agent: AgentProcess = await startAgent();
  await agent.connected;

  const doubled = new Set<string>();
  const watching = setInterval(() => {
    void doubledSleepers().then((marks) => {
      for (const mark of marks) doubled.add(mark);
    });
  }, 150);

  const tell = (who: string, product: Product) => onLog?.(who, product.log);
  return {
    doubled,
    async kill(victim) {
      if (victim === 'server') {
        await front.kill();
        tell('server', front);
        front = await startFront();
      } else if (victim === 'scheduler') {
        await back.kill();
        tell('scheduler', back);
        back = await startBack();
      } else if (victim === 'agent') {
        agent.signal('SIGKILL');
        await agent.exited;
        agent = await startAgent();
      } else {
        for (const pid of await daemonsOf([front.pid, back.pid], join(sshd.folder, 'far'))) kill(pid);
      }
    },
    async close() {
      clearInterval(watching);
      agent.signal('SIGKILL');
      await Promise.all([agent.exited, front.stop(), back.stop()]);
      tell('server', front);
      tell('scheduler', back);
      await sshd.close();
      await Promise.all([it.close(), frontData.remove(), backData.remove(), folder.remove()]);
    },
  };
}

/**
 * Chains of three quick builds; every fifth chain fails in its middle. Each sleeps for a time that no
 * other sleeps for, by which it is recognised.
 */
export function chains(count: number): string {
  return `builtins.listToAttrs (builtins.concatLists (builtins.genList (n: let
    i = toString n;
    mark = place: "sleep 0.\${if n < 10 then "3" else "4"}\${i}\${place}";
    first = build "first-\${i}" "\${mark "11"}; echo \${i}; echo > $out";
    second = build "second-\${i}" "echo \${first}; \${mark "22"}; echo > $out\${if n == 5 * (n / 5) then "; exit 1" else ""}";
    third = build "third-\${i}" "echo \${second}; \${mark "33"}; echo > $out";
  in [
    { name = "first-\${i}"; value = first; }
    { name = "second-\${i}"; value = second; }
    { name = "third-\${i}"; value = third; }
  ]) ${count}))`;
}

/** How the builds of {@link chains} are to end. */
export function endsOfChains(count: number): Readonly<Record<string, number>> {
  const failing = Math.ceil(count / 5);
  return { succeeded: 3 * count - 2 * failing, failed: failing, 'dependency-failed': failing };
}

/** What must not be once nothing is left to do, and how to count it. */
const faults: Readonly<Record<string, string>> = {
  // Times are of when transactions began, and one may wait for the other: a second says nothing.
  'two attempts at once': `SELECT count(*) FROM attempts a JOIN attempts b ON a.build_id = b.build_id AND a.id < b.id
    WHERE b.started_at < coalesce(a.finished_at - interval '1 second', 'infinity')`,
  'builds that did not end': 'SELECT count(*) FROM builds WHERE finished_at IS NULL',
  'attempts that still run': "SELECT count(*) FROM attempts WHERE state = 'running'",
  'leases that are left': 'SELECT count(*) FROM attempts WHERE lease_until IS NOT NULL',
  'evaluations that did not end': 'SELECT count(*) FROM evaluations WHERE finished_at IS NULL',
  'jobs with no result': 'SELECT count(*) FROM jobs WHERE build_id IS NULL AND NOT cached AND error IS NULL',
};
const countRows = z.object({ rows: z.array(z.object({ count: z.coerce.number() })) });

/** In words; empty when all is right. */
export async function findFaults(db: Knex): Promise<readonly string[]> {
  const found: string[] = [];
  for (const [what, sql] of Object.entries(faults)) {
    const [row] = countRows.parse(await db.raw(sql)).rows;
    if (row?.count !== 0) found.push(`${row?.count} ${what}`);
  }
  return found;
}

const endRows = z.array(z.object({ job: z.string(), state: z.string() }));

/**
 * The result of each attribute that has one. An evaluation that is done again after its server died finds
 * some of it built, and what has failed known: other jobs and builds stand for the same results then.
 */
export async function resultsOf(db: Knex): Promise<ReadonlyMap<string, string>> {
  const rows: unknown = await db('jobs as j')
    .leftJoin('builds as b', 'b.id', 'j.build_id')
    .whereRaw('b.finished_at IS NOT NULL OR (j.build_id IS NULL AND j.cached)')
    .select(
      db.raw("j.evaluation_id || ' ' || to_jsonb(j.path) AS job"),
      db.raw("coalesce(b.state, 'succeeded') AS state"),
    );
  return new Map(endRows.parse(rows).map(({ job, state }) => [job, state]));
}

async function commandLines(): Promise<
  readonly { readonly pid: number; readonly words: readonly string[] }[]
> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const read = async (pid: string) => {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return { pid: Number(pid), words: text.split('\0').slice(0, -1) };
  };
  return Promise.all(pids.map(read));
}

/** Of builds that run twice: processes that were seen together, and are both still there afterwards. */
async function doubledSleepers(): Promise<readonly string[]> {
  const seen = sleepers(await commandLines());
  const twice = seen.filter(({ mark }) => seen.filter((other) => other.mark === mark).length > 1);
  if (twice.length === 0) return [];
  // Reading takes a while, in which one may have ended and the next one begun.
  const still = sleepers(await commandLines()).filter(({ pid }) => twice.some((other) => other.pid === pid));
  return still.map(({ mark }) => mark).filter((mark, index, marks) => marks.indexOf(mark) !== index);
}

interface Sleeper {
  readonly pid: number;
  readonly mark: string;
}

function sleepers(lines: Awaited<ReturnType<typeof commandLines>>): readonly Sleeper[] {
  return lines.flatMap(({ pid, words: [program, mark = '', ...more] }) =>
    program?.endsWith('sleep') && more.length === 0 && /^0\.[34]\d+(11|22|33)$/.test(mark)
      ? [{ pid, mark }]
      : [],
  );
}

/** Those that the servers have started for their own store, and those behind ssh for that one. */
async function daemonsOf(parents: readonly number[], store: string): Promise<readonly number[]> {
  const found: number[] = [];
  for (const { pid, words } of await commandLines()) {
    if (!words[0]?.endsWith('nix-daemon')) continue;
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    if (parents.includes(parent) || words.includes(store)) found.push(pid);
  }
  return found;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
