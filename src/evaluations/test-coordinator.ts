/** For tests: a coordinator over a real database, git repository and Nix, without a server around it. */
import { silentLogger } from '../basics/index.ts';
import { createMissingPlanner } from '../builds/index.ts';
import {
  createPendingDerivations,
  createTextWriter,
  isTrusted,
  type LocalNix,
  type NixStore,
} from '../nix/index.ts';
import type { Database } from '../postgres/index.ts';
import type { Checkouts } from '../projects/index.ts';
import { type CoordinatorOptions, startCoordinator } from './coordinator.ts';
import { createEvaluator } from './evaluators/create-evaluator.ts';
import { defaultEvaluationLimits, type Evaluate } from './events.ts';
import { createSubmitRevision } from './submit.ts';
import { createWitnesses, createWitnessMaker } from './witnesses.ts';

export interface TestCoordinator {
  /** Evaluations that were really done. */
  readonly started: { count: number };
  /** Submits a commit as a push does and waits for the end of its evaluation; returns its row. */
  push(sha: string, options?: PushOptions): Promise<EvaluationRecord>;
  /** Evaluates a commit that was evaluated before. */
  rerun(sha: string): Promise<EvaluationRecord>;
  jobs(evaluationId: number): Promise<readonly JobRecord[]>;
  /** As the background task that settling asks for. */
  makeWitness(evaluationId: number): Promise<void>;
  /** As when a server is told that somebody has cancelled builds. */
  stopCancelled(): void;
  /** What was written is not kept any more, as some minutes later. */
  letGo(): Promise<void>;
  close(): Promise<void>;
}

export interface PushOptions {
  readonly branch?: string;
  /** As GitHub's delivery tells it; the origin need not have the commit then. */
  readonly tree?: string;
  readonly projectId?: number;
}

export interface EvaluationRecord {
  readonly id: number;
  readonly state: string;
  readonly file: string | null;
  readonly job_count: number;
  readonly error_count: number;
  readonly reused_from: number | null;
  readonly notices: readonly unknown[];
  readonly started_at: Date;
  readonly finished_at: Date;
}

export interface JobRecord {
  readonly id: number;
  readonly path: readonly string[];
  readonly drv_path: string | null;
  readonly outputs: Readonly<Record<string, string>> | null;
  readonly error: string | null;
  readonly error_line: number | null;
  readonly cached: boolean;
  readonly build_id: number | null;
}

export const testProject = { projectId: 1, installationId: 1 } as const;

export async function startTestCoordinator(
  database: Pick<Database, 'knex'>,
  origin: { checkoutsOf(dataDir: string): Checkouts; freshDataDir(): Promise<string> },
  testNix: { readonly nix: LocalNix; readonly store: NixStore },
  change: Partial<CoordinatorOptions> & { readonly wrap?: (evaluate: Evaluate) => Evaluate } = {},
): Promise<TestCoordinator> {
  const { knex } = database;
  const { nix, store } = testNix;
  const checkouts = origin.checkoutsOf(await origin.freshDataDir());
  const evaluator = await createEvaluator({
    nix: { env: nix.environment, store: nix.layout },
    log: silentLogger(),
    prefer: 'built-in',
  });
  const texts = createTextWriter({
    access: nix.access,
    nixDaemon: nix.programs['nix-daemon'],
    env: nix.environment,
  });
  const witnesses = createWitnesses({ storeDir: nix.storeDir, store, texts });
  const started = { count: 0 };
  const ended = new Map<number, () => void>();
  const requestOf = (evaluation: { sha: string; sources: readonly { gitRef: string }[] }) => ({
    project,
    sha: evaluation.sha,
    gitRef: evaluation.sources[0]?.gitRef ?? '',
  });
  const project = {
    id: 1,
    githubRepositoryId: 1,
    installationId: 1,
    owner: 'acme',
    name: 'rockets',
    defaultBranch: 'main',
    private: false,
    enabled: true,
  };
  const [process]: { id: number }[] = await knex('processes')
    .insert({ host: 'test', boot_id: 'b', pid_namespace: 'n', pid: 1, pid_started: '1' })
    .returning('id');
  await knex('installations').insert({ id: 1, account_login: 'acme' }).onConflict('id').ignore();
  for (const id of [1, 2]) {
    await knex.raw(
      `INSERT INTO projects (id, github_repository_id, installation_id, owner, name, default_branch, private)
       OVERRIDING SYSTEM VALUE VALUES (?, ?, 1, 'acme', ?, 'main', false) ON CONFLICT DO NOTHING`,
      [id, id, `project-${id}`],
    );
  }
  const coordinator = startCoordinator({
    db: knex,
    processId: process?.id ?? 0,
    concurrency: 1,
    limits: defaultEvaluationLimits,
    evaluator: async () => ({
      identity: [evaluator.name],
      evaluate: (request) => {
        started.count += 1;
        return (change.wrap?.(evaluator.evaluate) ?? evaluator.evaluate)(request);
      },
    }),
    look: (evaluation) => checkouts.look(requestOf(evaluation)),
    checkOut: (evaluation, _signal, submodules) =>
      checkouts.checkout({ ...requestOf(evaluation), ...(submodules && { submodules }) }),
    openPlanning: async () => {
      const derivations = createPendingDerivations(texts);
      const planner = createMissingPlanner({
        store,
        layout: nix.layout,
        derivations,
        withTexts: isTrusted(nix.access),
      });
      return { planner, derivations, witnesses };
    },
    onRevisionChanged: async (trx, revisionId) => {
      const row = await trx('evaluations').where({ revision_id: revisionId }).orderBy('id', 'desc').first();
      if (row?.state !== 'queued' && row?.state !== 'evaluating') ended.get(revisionId)?.();
    },
    log: silentLogger(),
    ...change,
  });
  const submit = createSubmitRevision(async () => {});

  /** `begin` runs in a transaction and returns the revision. */
  async function evaluated(begin: () => Promise<number>): Promise<EvaluationRecord> {
    const revisionId = await begin();
    const end = new Promise<void>((resolve) => ended.set(revisionId, resolve));
    coordinator.wake();
    await end;
    // The row is there when the transaction that told has been committed, which gives its lock back.
    return await knex.transaction((trx) =>
      trx('evaluations').where({ revision_id: revisionId }).orderBy('id', 'desc').first().forUpdate(),
    );
  }

  return {
    started,
    push: (sha, { branch = 'main', tree, projectId = 1 } = {}) =>
      evaluated(async () => {
        const submitted = await knex.transaction((trx) =>
          submit(trx, {
            project: { ...project, id: projectId },
            sha,
            ...(tree === undefined ? {} : { tree }),
            trust: { kind: 'trusted' },
            title: 'Change',
            author: 'Ada',
            source: { kind: 'branch', name: branch, gitRef: `refs/heads/${branch}`, title: 'Change' },
          }),
        );
        return submitted.revisionId;
      }),
    rerun: (sha) =>
      evaluated(async () => {
        const revision = await knex('revisions').where({ sha }).first();
        await knex('evaluations').insert({ revision_id: revision.id });
        return revision.id;
      }),
    jobs: (evaluationId) => knex('jobs').where({ evaluation_id: evaluationId }).orderBy('id'),
    makeWitness: (id) => createWitnessMaker({ db: knex, witnesses: async () => witnesses })({ id }),
    stopCancelled: coordinator.stopCancelled,
    letGo: texts.close,
    close: async () => {
      await coordinator.stop(0);
      await texts.close();
    },
  };
}
