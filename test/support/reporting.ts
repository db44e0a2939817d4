/**
 * Reporting by a clock of its own: the outbox and its way to GitHub as they are in a server, the double
 * that enforces GitHub's limits, and time that passes only when somebody lets it.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { silentLogger } from '../../src/basics/index.ts';
import { createReportTransport, openGitHubApp } from '../../src/github/index.ts';
import { createReportSender, planReport } from '../../src/reports/index.ts';
import { type GitHubDouble, startGitHubDouble } from '../github-double/index.ts';
import { githubLimits } from '../github-double/limits.ts';

const second = 1000;
const idRow = z.object({ id: z.number() });
const idRows = z.object({ rows: z.array(z.object({ id: z.number() })) });
const planOptions = { publicUrl: 'https://ci.example.org', statuses: 'summary' } as const;

/** One commit and its evaluation. */
export interface Commit {
  readonly id: number;
  readonly sha: string;
  readonly evaluation: number;
  /** Builds of its jobs, in the order of their paths. */
  readonly builds: readonly number[];
}

export type Reporting = Awaited<ReturnType<typeof startReporting>>;

/** Everything of one account. Close it in the end; the database is the caller's. */
export async function startReporting(db: Knex) {
  let time = Date.now();
  const double: GitHubDouble = await startGitHubDouble({ clock: () => time });
  double.limiter.enforce(githubLimits);
  const log = silentLogger();
  const app = await openGitHubApp(
    {
      appId: double.appId,
      privateKey: double.privateKey,
      webhookSecret: 'unused',
      host: double.url.replace('http://', ''),
      protocol: 'http',
    },
    log,
  );
  if (!app) throw new Error('The App was not opened.');
  const newSender = () =>
    createReportSender({ db, transport: createReportTransport(app, log), log, now: () => new Date(time) });
  let sender = newSender();
  let projects = 0;

  async function insert(table: string, row: Record<string, unknown>): Promise<number> {
    const [inserted]: unknown[] = await db(table).insert(row).returning('id');
    return idRow.parse(inserted).id;
  }

  /** When the outbox wants to be called next; undefined: when something happens. */
  async function wakesAt(installation: number): Promise<number | undefined> {
    const result: unknown = await db.raw('SELECT run_at FROM graphile_worker.jobs WHERE key = ?', [
      `send-reports-later:${installation}`,
    ]);
    const { rows } = z.object({ rows: z.array(z.object({ run_at: z.date() })) }).parse(result);
    return rows[0]?.run_at.getTime();
  }

  return {
    double,
    db,
    now: () => time,

    /** A repository of this account; returns its id in the database. */
    async newProject(name: string): Promise<{ readonly id: number; readonly name: string }> {
      await double.createRepository({ name });
      const [owner = '', repository = ''] = name.split('/');
      const installation = double.installation(owner).id;
      await db('installations').insert({ id: installation, account_login: owner }).onConflict('id').ignore();
      const id = await insert('projects', {
        github_repository_id: ++projects,
        installation_id: installation,
        owner,
        name: repository,
        default_branch: 'main',
        private: false,
      });
      return { id, name };
    },

    /** A commit under way, with so many attributes whose builds are queued. */
    async newCommit(
      project: { readonly id: number; readonly name: string },
      attributes: number,
      notices: readonly Record<string, unknown>[] = [],
    ): Promise<Commit> {
      const { sha } = await double.push({
        repo: project.name,
        files: { 'ci.nix': `# ${crypto.randomUUID()}` },
      });
      const id = await insert('revisions', { project_id: project.id, sha, trust: 'trusted' });
      const at = new Date(time);
      const evaluation = await insert('evaluations', {
        revision_id: id,
        state: 'building',
        file: 'ci.nix',
        started_at: at,
        evaluated_at: at,
        notices: JSON.stringify(notices),
      });
      const built: unknown = await db.raw(
        `INSERT INTO builds (drv_path, name, system, state)
         SELECT '/nix/store/' || :id || '-' || n || '.drv', 'a' || n, 'x86_64-linux', 'queued'
         FROM generate_series(1, :attributes) n RETURNING id`,
        { id, attributes },
      );
      const builds = idRows.parse(built).rows.map((row) => row.id);
      await db.raw(
        `INSERT INTO jobs (evaluation_id, path, build_id)
         SELECT ?, ARRAY['a' || lpad(n::text, 5, '0')], b FROM unnest(?::bigint[]) WITH ORDINALITY AS t(b, n)`,
        [evaluation, [...builds]],
      );
      return { id, sha, evaluation, builds };
    },

    async endBuilds(builds: readonly number[], state: 'succeeded' | 'failed'): Promise<void> {
      const at = new Date(time);
      await db('builds').whereIn('id', builds).update({ state, started_at: at, finished_at: at });
    },

    async endEvaluation(commit: Commit, state: 'succeeded' | 'failed'): Promise<void> {
      await db('evaluations')
        .where('id', commit.evaluation)
        .update({ state, finished_at: new Date(time) });
    },

    plan: (commit: Commit) => planReport(db, commit.id, planOptions),

    /** The program ends and another one begins, which remembers what the database holds. */
    restart() {
      sender = newSender();
    },

    send: (owner: string) => sender.send(double.installation(owner).id),

    /** Lets so many seconds pass; what the outbox asks for in between happens. */
    async pass(owner: string, seconds: number): Promise<void> {
      const installation = double.installation(owner).id;
      const end = time + seconds * second;
      for (;;) {
        await sender.send(installation);
        const wakes = await wakesAt(installation);
        if (wakes === undefined || wakes <= time || wakes > end) break;
        time = wakes;
      }
      time = end;
      await sender.send(installation);
    },

    /** Seconds until something is so, at most so many; looks after every second. */
    async until(owner: string, most: number, ready: () => boolean): Promise<number> {
      const begin = time;
      await sender.send(double.installation(owner).id);
      while (!ready()) {
        if (time - begin >= most * second)
          throw new Error(`not within ${most} s:\n${double.journal.text(20)}`);
        time += second;
        const wakes = await wakesAt(double.installation(owner).id);
        if (wakes !== undefined && wakes <= time) await sender.send(double.installation(owner).id);
      }
      return (time - begin) / second;
    },

    async unsent(): Promise<number> {
      const rows: unknown[] = await db('reports').whereRaw('sent_version < version').where('given_up', false);
      return rows.length;
    },

    /** Requests that GitHub counts as content, accepted or not. */
    contentWrites: () =>
      double.journal.calls.filter(
        ({ method, path }) => method !== 'GET' && /\/(check-runs|statuses)(\/|$)/.test(path),
      ),

    gateOf: (commit: Pick<Commit, 'sha'>) => double.latestCheckRuns(commit.sha).get('ringmaster'),

    close: () => double.close(),
  };
}
