/**
 * Fills a database with what a busy server would hold, for looking at the dashboard and for its
 * tests: green, red, running, waiting, huge and empty revisions, odd names, hostile logs.
 */
import type { Knex } from 'knex';
import { failedLog, hugeJobs, oddJobs, smallSet } from './seed-jobs.ts';
import {
  addAttempt,
  addEvaluation,
  addJobs,
  addProject,
  addRevision,
  ago,
  insert,
  seedSha,
} from './seed-rows.ts';

export interface SeededDashboard {
  readonly shas: {
    readonly green: string;
    readonly red: string;
    readonly running: string;
    readonly huge: string;
    readonly empty: string;
    readonly errors: string;
    readonly approval: string;
    readonly queued: string;
    readonly secret: string;
  };
  /** The running build whose log goes on, and its attempt. */
  readonly running: { readonly buildId: number; readonly attemptId: number };
  readonly failed: { readonly buildId: number; readonly attemptId: number };
}

/** Everything. Takes about two seconds. */
export async function seedDashboard(db: Knex, hugeSize = 5_000): Promise<SeededDashboard> {
  await db('installations').insert({ id: 1, account_login: 'acme' });
  const hello = await addProject(db, 101, 'acme', 'hello');
  const packages = await addProject(db, 102, 'acme', 'packages');
  const infra = await addProject(
    db,
    103,
    'lighthouse',
    'infrastructure-of-the-harbour-and-its-many-machines',
  );
  await addProject(db, 104, 'acme', 'brand-new');
  await addProject(db, 105, 'acme', 'old-experiments', { enabled: false });
  const vault = await addProject(db, 106, 'acme', 'vault', { private: true });

  // A history of the default branch, mostly good.
  for (let index = 18; index > 0; index -= 1) {
    const bad = index === 13 || index === 5;
    const id = await addRevision(db, {
      projectId: hello,
      words: `${['Bump flake inputs', 'Read leases in batches', 'Document the queue', 'Simplify parsing of addresses'][index % 4]} (${index})`,
      minutes: index * 190,
      branch: 'main',
      author: index % 3 ? 'Ada Larsson' : 'Renovate',
    });
    const evaluation = await addEvaluation(db, id, bad ? 'failed' : 'succeeded', {
      queued_at: ago(index * 190),
      started_at: ago(index * 190),
      finished_at: ago(index * 190 - 4),
    });
    await addJobs(
      db,
      evaluation,
      smallSet((name) => (bad && name.endsWith('test') ? 'failed' : 'succeeded')),
    );
  }
  const green = await addRevision(db, {
    projectId: hello,
    words: 'Renew leases before they end',
    minutes: 42,
    branch: 'main',
  });
  await addJobs(
    db,
    await addEvaluation(db, green, 'succeeded'),
    smallSet((name) => (name.includes('docs') ? 'cached' : 'succeeded')),
  );

  const red = await addRevision(db, {
    projectId: hello,
    words: 'Split the lease module',
    minutes: 21,
    branch: 'split-lease',
    pull: { number: '48', title: 'Split the lease module into renewal and expiry' },
    author: 'Jun Okafor',
  });
  const redEvaluation = await addEvaluation(db, red, 'failed', {
    notices: JSON.stringify([
      { type: 'notice', message: 'nix/ci.nix hides ci.nix, which is not evaluated.' },
    ]),
  });
  const redBuilds = await addJobs(db, redEvaluation, [
    ...smallSet((name) =>
      name.endsWith('test') ? 'failed' : name.endsWith('docs') ? 'dependency-failed' : 'succeeded',
    ).map((job) =>
      job.state === 'failed'
        ? { ...job, message: "builder for '/nix/store/5v6c…-test.drv' failed with exit code 2" }
        : job,
    ),
    ...oddJobs,
  ]);
  const failedBuild = redBuilds.get('checks.x86_64-linux.test') ?? 0;
  await db('builds')
    .where({ id: redBuilds.get('packages.x86_64-linux.docs') ?? 0 })
    .update({ culprit_build_id: failedBuild });
  await addAttempt(db, failedBuild, ['connection to builder lost'], {
    builder: 'big-1',
    state: 'lost',
    message: 'the builder went away',
  });
  const failedAttempt = await addAttempt(db, failedBuild, failedLog, {
    status: 'failed',
    message: 'exit code 2',
  });

  const running = await addRevision(db, {
    projectId: hello,
    words: 'Stream logs to every viewer at once',
    minutes: 3,
    branch: 'fan-out',
    pull: { number: '51', title: 'Stream logs to every viewer at once' },
  });
  const runningEvaluation = await addEvaluation(db, running, 'building', {
    started_at: ago(3),
    queued_at: ago(3),
  });
  const runningBuilds = await addJobs(
    db,
    runningEvaluation,
    smallSet((name) =>
      name.endsWith('test') || name.endsWith('clippy')
        ? 'building'
        : name.endsWith('docs')
          ? 'blocked'
          : name.includes('aarch64')
            ? 'queued'
            : 'succeeded',
    ),
  );
  const runningBuild = runningBuilds.get('checks.x86_64-linux.test') ?? 0;
  await db('build_inputs').insert({
    build_id: runningBuilds.get('packages.x86_64-linux.docs') ?? 0,
    input_build_id: runningBuild,
  });
  await db('builds')
    .where({ id: runningBuilds.get('packages.x86_64-linux.docs') ?? 0 })
    .update({ pending_inputs: 1 });
  const runningAttempt = await addAttempt(db, runningBuild, failedLog.slice(0, 60), {
    state: 'running',
    started_at: ago(1.6),
  });
  await addAttempt(db, runningBuilds.get('checks.x86_64-linux.clippy') ?? 0, ['Running phase: buildPhase'], {
    state: 'running',
    builder: 'big-1',
    started_at: ago(1.6),
  });

  await addRevision(db, {
    projectId: hello,
    words: 'Fix a typo in the README',
    minutes: 65,
    pull: { number: '52', title: 'Fix a typo in the README' },
    author: 'stranger',
    revision: {
      trust: 'needs-approval',
      trust_reason:
        'stranger has no write permission for acme/hello, and the pull request comes from a fork.',
    },
  });
  const queued = await addRevision(db, {
    projectId: hello,
    words: 'Use the new allocator',
    minutes: 1,
    branch: 'allocator',
  });
  await addEvaluation(db, queued, 'queued', {
    waiting_for: 'The mirror of acme/hello cannot be fetched: github.com does not answer. Next try in 30 s.',
  });

  const huge = await addRevision(db, {
    projectId: packages,
    words: 'staging-next: merge the toolchain update and rebuild the world',
    minutes: 55,
    branch: 'main',
    author: 'Vera Lind',
  });
  const hugeEvaluation = await addEvaluation(db, huge, 'building', {
    evaluator: 'nix-eval-jobs 2.33.1',
    started_at: ago(55),
  });
  const hugeBuilds = await addJobs(db, hugeEvaluation, hugeJobs(hugeSize));
  await addAttempt(db, [...hugeBuilds.values()].at(-1) ?? 0, ['Running phase: buildPhase']);

  const errors = await addRevision(db, {
    projectId: infra,
    words:
      'Move every machine to the new module system, in one go, with a commit title that is longer than anyone would want it to be',
    minutes: 130,
    branch: 'main',
    author: 'Iben',
  });
  await addJobs(db, await addEvaluation(db, errors, 'failed'), [
    {
      path: ['nixosConfigurations', 'gateway'],
      state: 'error',
      error: {
        message:
          'error: undefined variable \'pkg\'\n\n       at machines/gateway.nix:14:9:\n\n           13|   services.nginx.virtualHosts."harbour" = {\n           14|         root = pkg.harbour-site;\n             |         ^\n           15|   };',
        file: 'machines/gateway.nix',
        line: 14,
      },
    },
    {
      path: ['nixosConfigurations', 'crane-7'],
      state: 'error',
      error: {
        message:
          "error: The option `services.craned.enabel' does not exist. Definition values:\n       - In `machines/crane-7.nix': true\n\n       Did you mean `services.craned.enable'?",
        file: 'machines/crane-7.nix',
        line: 3,
      },
    },
    {
      path: ['nixosConfigurations', 'lamp'],
      state: 'error',
      error: { message: 'error: stack overflow; max-call-depth exceeded' },
    },
    { path: ['nixosConfigurations', 'buoy'], state: 'succeeded', seconds: 341 },
  ]);
  const empty = await addRevision(db, {
    projectId: infra,
    words: 'Remove everything',
    minutes: 400,
    branch: 'empty',
  });
  await addEvaluation(db, empty, 'succeeded');

  const secret = await addRevision(db, {
    projectId: vault,
    words: 'Rotate the keys',
    minutes: 10,
    branch: 'main',
  });
  const secretBuilds = await addJobs(db, await addEvaluation(db, secret, 'building'), [
    { path: ['secret-attribute'], state: 'building', name: 'secret-thing' },
  ]);
  await addAttempt(db, secretBuilds.get('secret-attribute') ?? 0, ['a secret line'], { state: 'running' });

  const process = await insert(db, 'processes', {
    host: 'ringmaster-1',
    boot_id: 'boot',
    pid_namespace: 'pid',
    pid: 1,
    pid_started: '1',
    roles: ['web', 'scheduler'],
    task_worker_ids: [],
  });
  await db('builders').insert([
    {
      name: 'local',
      kind: 'local',
      systems: ['x86_64-linux', 'i686-linux'],
      features: ['big-parallel', 'kvm', 'nixos-test'],
      slots: 4,
      process_id: process,
    },
    {
      name: 'big-1',
      kind: 'ssh',
      systems: ['x86_64-linux'],
      features: ['big-parallel', 'kvm'],
      slots: 16,
      process_id: process,
    },
    {
      name: 'ampere',
      kind: 'agent',
      systems: ['aarch64-linux'],
      features: [],
      slots: 8,
      seen_at: ago(47),
      version: '0.4.0',
    },
  ]);
  const sha = (words: string) => seedSha(words);
  return {
    shas: {
      green: sha('Renew leases before they end'),
      red: sha('Split the lease module'),
      running: sha('Stream logs to every viewer at once'),
      huge: sha('staging-next: merge the toolchain update and rebuild the world'),
      empty: sha('Remove everything'),
      errors: sha(
        'Move every machine to the new module system, in one go, with a commit title that is longer than anyone would want it to be',
      ),
      approval: sha('Fix a typo in the README'),
      queued: sha('Use the new allocator'),
      secret: sha('Rotate the keys'),
    },
    running: { buildId: runningBuild, attemptId: runningAttempt },
    failed: { buildId: failedBuild, attemptId: failedAttempt },
  };
}
