/** The outbox with everything around it, for its tests: a database, a GitHub, a clock. */
import { z } from 'zod';
import { silentLogger } from '../../basics/index.ts';
import type { Knex } from '../../postgres/index.ts';
import { options } from '../plan/test-facts.ts';
import type { ReportTransport } from '../types.ts';
import { planReport } from './plan-report.ts';
import { reconcileReports } from './reconcile.ts';
import { createReportSender } from './send-reports.ts';
import { createRecordingGitHub } from './test-github.ts';

export const second = 1000;
const installation = 7;
const idRow = z.object({ id: z.number() });

export interface TestRevision {
  readonly id: number;
  readonly evaluation: number;
  /** Returns how many reports changed. */
  plan(): Promise<number>;
}

/** Begins with an empty database. What the sender calls GitHub by may be put `around` the recording one. */
export async function createTestOutbox(
  db: Knex,
  around: (transport: ReportTransport) => ReportTransport = (transport) => transport,
) {
  await db.raw(
    'TRUNCATE installations, projects, revisions, evaluations, jobs, builds, reports, github_writes CASCADE',
  );
  await db.raw('DELETE FROM graphile_worker._private_jobs');
  let time = Date.now();
  let commits = 0;
  const github = createRecordingGitHub();
  const transport = around(github.transport);
  const newSender = () =>
    createReportSender({
      db,
      transport,
      log: silentLogger(),
      now: () => new Date(time),
      random: () => 0.5,
    });
  let sender = newSender();

  async function insert(table: string, row: Record<string, unknown>): Promise<number> {
    const [inserted]: unknown[] = await db(table).insert(row).returning('id');
    return idRow.parse(inserted).id;
  }

  await insert('installations', { id: installation, account_login: 'acme' });
  const project = await insert('projects', {
    github_repository_id: 1,
    installation_id: installation,
    owner: 'acme',
    name: 'hello',
    default_branch: 'main',
    private: false,
  });

  return {
    github,
    now: () => new Date(time),
    pass: (milliseconds: number) => {
      time += milliseconds;
    },
    send: (to = installation) => sender.send(to),
    /** As after a start of the program: it remembers nothing but what the database holds. */
    restart: () => {
      sender = newSender();
    },
    /** The newest version GitHub has of a check. */
    last: (name: string) => github.runsNamed(name).at(-1)?.versions.at(-1),

    /** A revision that is being built, with a queued build for each path. */
    async newRevision(paths: readonly string[], row: Record<string, unknown> = {}): Promise<TestRevision> {
      const sha = (++commits).toString(16).padStart(40, '0');
      const id = await insert('revisions', { project_id: project, sha, trust: 'trusted' });
      const evaluation = await insert('evaluations', {
        revision_id: id,
        state: 'building',
        file: 'ci.nix',
        started_at: new Date(time),
        evaluated_at: new Date(time),
        ...row,
      });
      for (const path of paths) {
        const build = await insert('builds', {
          drv_path: `/nix/store/${id}-${path}.drv`,
          name: path,
          system: 'x86_64-linux',
          state: 'queued',
        });
        await db('jobs').insert({ evaluation_id: evaluation, path: [path], build_id: build });
      }
      return { id, evaluation, plan: () => planReport(db, id, options) };
    },

    /** Ends an evaluation with all its builds in one state. */
    async finish({ evaluation }: TestRevision, state: 'succeeded' | 'failed' = 'succeeded'): Promise<void> {
      const end = { state, finished_at: new Date(time) };
      const builds = db('jobs').select('build_id').where('evaluation_id', evaluation);
      await db('builds').whereIn('id', builds).update(end);
      await db('evaluations').where('id', evaluation).update(end);
    },

    /** Looks at what stands on GitHub, an hour after everything was sent; returns what is sent again. */
    async reconcile(listChecks = github.transport.listChecks): Promise<number> {
      await db('reports').update({ updated_at: db.raw(`now() - interval '1 hour'`) });
      await db('revisions').update({ reconciled_at: null });
      await db.raw(
        `INSERT INTO revision_sources (revision_id, kind, name, git_ref)
         SELECT id, 'branch', 'b' || id, 'refs/heads/b' FROM revisions ON CONFLICT DO NOTHING`,
      );
      return reconcileReports({ db, transport: { listChecks }, log: silentLogger() });
    },

    async unsent(): Promise<number> {
      const rows: unknown[] = await db('reports').whereRaw('sent_version < version').where('given_up', false);
      return rows.length;
    },

    /** When the outbox asked to be called again, in seconds from now. */
    async wakesAfter(): Promise<number | undefined> {
      const result: unknown = await db.raw(
        `SELECT run_at FROM graphile_worker.jobs WHERE key = 'send-reports-later:${installation}'`,
      );
      const { rows } = z.object({ rows: z.array(z.object({ run_at: z.date() })) }).parse(result);
      return rows[0] && (rows[0].run_at.getTime() - time) / second;
    },
  };
}
