/**
 * Fills a database with what a busy server would hold, for looking at the dashboard and for its
 * tests: green, red, running, waiting, huge and empty revisions, odd names, hostile logs.
 */
import { createHash } from 'node:crypto';
import type { Knex } from 'knex';

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

type Row = Record<string, unknown>;

/** A commit's hash, the same for the same words. */
export function seedSha(words: string): string {
  return createHash('sha1').update(words).digest('hex');
}

function storePath(name: string): string {
  const digits = '0123456789abcdfghijklmnpqrsvwxyz';
  const bytes = createHash('sha256').update(name).digest();
  return `/nix/store/${Array.from({ length: 32 }, (_, index) => digits[(bytes[index] ?? 0) % 32]).join('')}-${name}`;
}

const minute = 60_000;
const ago = (minutes: number) => new Date(Date.now() - minutes * minute);

/** Inserts one row and returns its id. */
async function insert(db: Knex, table: string, row: Row): Promise<number> {
  const ids: { id: number }[] = await db(table).insert(row).returning('id');
  return ids[0]?.id ?? 0;
}

async function addProject(
  db: Knex,
  id: number,
  owner: string,
  name: string,
  extra: Row = {},
): Promise<number> {
  return insert(db, 'projects', {
    github_repository_id: id,
    installation_id: 1,
    owner,
    name,
    default_branch: 'main',
    private: false,
    ...extra,
  });
}

interface RevisionSeed {
  readonly projectId: number;
  readonly words: string;
  readonly author?: string;
  readonly minutes: number;
  readonly branch?: string;
  readonly pull?: { readonly number: string; readonly title: string };
  readonly revision?: Row;
}

async function addRevision(db: Knex, seed: RevisionSeed): Promise<number> {
  const id = await insert(db, 'revisions', {
    project_id: seed.projectId,
    sha: seedSha(seed.words),
    trust: 'trusted',
    title: seed.words,
    author: seed.author ?? 'Ada Larsson',
    created_at: ago(seed.minutes),
    ...seed.revision,
  });
  if (seed.branch) {
    await db('revision_sources').insert({
      revision_id: id,
      kind: 'branch',
      name: seed.branch,
      git_ref: `refs/heads/${seed.branch}`,
      seen_at: ago(seed.minutes),
    });
  }
  if (seed.pull) {
    await db('revision_sources').insert({
      revision_id: id,
      kind: 'pull-request',
      name: seed.pull.number,
      git_ref: `refs/pull/${seed.pull.number}/head`,
      base_branch: 'main',
      title: seed.pull.title,
      seen_at: ago(seed.minutes),
    });
  }
  return id;
}

async function addEvaluation(db: Knex, revisionId: number, state: string, row: Row = {}): Promise<number> {
  const over = ['succeeded', 'failed', 'cancelled'].includes(state);
  return insert(db, 'evaluations', {
    revision_id: revisionId,
    state,
    file: 'ci.nix',
    evaluator: 'built-in (nix 2.8.0)',
    queued_at: ago(14),
    started_at: state === 'queued' ? null : ago(14),
    evaluated_at: state === 'queued' || state === 'evaluating' ? null : ago(13),
    finished_at: over ? ago(6) : null,
    ...row,
  });
}

interface JobSeed {
  readonly path: readonly string[];
  /** A build's state, `cached`, or `error`. */
  readonly state: string;
  readonly name?: string;
  readonly system?: string;
  readonly mark?: string;
  readonly seconds?: number;
  readonly message?: string;
  readonly error?: { readonly message: string; readonly file?: string; readonly line?: number };
}

const drv = (salt: number, name: string) =>
  storePath(`${name}.drv`).replace(/[a-z0-9]{4}-/, `${String(salt % 10_000).padStart(4, '0')}-`);

/** Adds jobs with their builds, whatever their number, in a few statements; returns build ids by path. */
async function addJobs(
  db: Knex,
  evaluationId: number,
  seeds: readonly JobSeed[],
): Promise<Map<string, number>> {
  const withBuild = seeds.filter(({ state }) => state !== 'error' && state !== 'cached');
  const builds = withBuild.map((seed, index) => {
    const over = !['blocked', 'queued', 'building'].includes(seed.state);
    const started = !['blocked', 'queued', 'dependency-failed'].includes(seed.state);
    const end = ago(6).getTime() - (index % 300) * 1000;
    return {
      drv_path: `${drv(index, seed.name ?? nameOf(seed))}`.replace('.drv', `-${evaluationId}-${index}.drv`),
      name: seed.name ?? nameOf(seed),
      system: seed.system ?? 'x86_64-linux',
      state: seed.state,
      message: seed.message ?? '',
      created_at: ago(13),
      started_at: started
        ? new Date(over ? end - (seed.seconds ?? 20) * 1000 : Date.now() - (seed.seconds ?? 95) * 1000)
        : null,
      finished_at: over ? new Date(end) : null,
    };
  });
  const ids: { id: number }[] = [];
  for (let first = 0; first < builds.length; first += 500) {
    ids.push(
      ...(await db('builds')
        .insert(builds.slice(first, first + 500))
        .returning('id')),
    );
  }
  const byPath = new Map(withBuild.map((seed, index) => [seed.path.join('.'), ids[index]?.id ?? 0]));
  const drvPaths = new Map(withBuild.map((seed, index) => [seed.path.join('.'), builds[index]?.drv_path]));
  await db.batchInsert(
    'jobs',
    seeds.map((seed) => {
      const name = seed.name ?? nameOf(seed);
      const error = seed.state === 'error';
      return {
        evaluation_id: evaluationId,
        path: [...seed.path],
        drv_path: error ? null : (drvPaths.get(seed.path.join('.')) ?? storePath(`${name}.drv`)),
        name: error ? null : name,
        system: error ? null : (seed.system ?? 'x86_64-linux'),
        outputs: error ? null : JSON.stringify({ out: storePath(name) }),
        mark: seed.mark ?? 'regular',
        error: seed.error?.message ?? null,
        error_file: seed.error?.file ?? null,
        error_line: seed.error?.line ?? null,
        build_id: byPath.get(seed.path.join('.')) ?? null,
        cached: seed.state === 'cached',
      };
    }),
    500,
  );
  const errors = seeds.filter(({ state }) => state === 'error').length;
  await db('evaluations')
    .where({ id: evaluationId })
    .update({ job_count: seeds.length - errors, error_count: errors });
  return byPath;
}

function nameOf({ path }: JobSeed): string {
  return (path.at(-1) ?? 'root').replace(/[^A-Za-z0-9+._?=-]/g, '-').slice(0, 60) || 'unnamed';
}

/** Adds an attempt with a log, in pieces of so many lines as the writer would leave them. */
export async function addAttempt(
  db: Knex,
  buildId: number,
  log: readonly (string | Buffer)[],
  row: Row = {},
): Promise<number> {
  const running = row.state === 'running';
  const bytes = log.map((line) => Buffer.concat([Buffer.from(line), Buffer.from('\n')]));
  const id = await insert(db, 'attempts', {
    build_id: buildId,
    builder: 'local',
    state: 'ended',
    started_at: ago(8),
    finished_at: running ? null : ago(6),
    log_bytes: bytes.reduce((sum, line) => sum + line.length, 0),
    log_lines: bytes.length,
    log_complete: !running,
    ...row,
  });
  const perChunk = 700;
  let position = 0;
  for (let first = 0; first < bytes.length; first += perChunk) {
    const chunk = Buffer.concat(bytes.slice(first, first + perChunk));
    await db('log_chunks').insert({ attempt_id: id, position, first_line: first, bytes: chunk });
    position += chunk.length;
  }
  return id;
}

const esc = '\u001b[';

/** What stdenv and a compiler print, ending badly. */
export const failedLog: readonly (string | Buffer)[] = [
  'Running phase: unpackPhase',
  'unpacking source archive /nix/store/3v0g6bwd5c0h8q2b4mzzx9jhcnq3v2bm-source',
  'source root is source',
  'Running phase: patchPhase',
  'Running phase: configurePhase',
  ...Array.from(
    { length: 24 },
    (_, index) =>
      `checking for ${['gcc', 'a BSD-compatible install', 'strlcpy', 'zlib.h', 'pthread_create', 'sys/epoll.h'][index % 6]}... ${esc}32myes${esc}0m`,
  ),
  'Running phase: buildPhase',
  'build flags: -j8 SHELL=/nix/store/9q4y2l1v0a7w7f6sn3m0dvxp5rmvdk2c-bash-5.2p26/bin/bash',
  ...Array.from(
    { length: 60 },
    (_, index) =>
      `[${index + 1}/61] ${esc}1mCC${esc}0m src/${['queue', 'lease', 'socket', 'parser', 'arena'][index % 5]}_${index}.c`,
  ),
  'Downloading vendored crates  10%\rDownloading vendored crates  55%\rDownloading vendored crates 100%',
  `${esc}1msrc/lease_61.c:142:17: ${esc}1;31merror: ${esc}0m${esc}1mimplicit declaration of function ‘lease_renew’; did you mean ‘lease_new’?${esc}0m [-Wimplicit-function-declaration]`,
  `  142 |         if (${esc}1;31mlease_renew${esc}0m(lease, now) < 0)`,
  `      |             ${esc}1;31m^~~~~~~~~~~${esc}0m`,
  `      |             ${esc}32mlease_new${esc}0m`,
  `${esc}1msrc/lease_61.c:150:9: ${esc}1;35mwarning: ${esc}0munused variable ‘n’ [-Wunused-variable]`,
  `${esc}41;97m FAILED ${esc}0m ${esc}38;5;208mlease_61.o${esc}0m ${esc}2mafter 1.2 s${esc}0m`,
  'make: *** [Makefile:31: src/lease_61.o] Error 1',
  '<script>alert("a log is text")</script>',
  Buffer.from([0x69, 0x6e, 0x76, 0x61, 0x6c, 0x69, 0x64, 0x20, 0xff, 0xfe, 0x20, 0x75, 0x74, 0x66]),
];

const systems = ['x86_64-linux', 'aarch64-linux', 'aarch64-darwin'];
const words = [
  'hello',
  'libfoo',
  'openssl',
  'curl',
  'ffmpeg',
  'nginx',
  'postgresql',
  'redis',
  'git',
  'zlib',
  'llvm',
  'rustc',
  'ghc',
  'qemu',
  'systemd',
  'mesa',
  'gtk4',
  'webkitgtk',
  'firefox',
  'python3',
];

/** A set as large as a real package collection. */
export function hugeJobs(number: number): JobSeed[] {
  return Array.from({ length: number }, (_, index) => {
    const base = words[index % words.length] ?? 'x';
    const path = ['packages', systems[index % 3] ?? '', `${base}_${Math.floor(index / 20)}`];
    const seed = {
      path,
      system: systems[index % 3] ?? '',
      name: `${base}-${1 + (index % 9)}.${index % 13}`,
      seconds: 4 + (index % 211),
    };
    if (index % 701 === 5)
      return {
        ...seed,
        state: 'failed',
        message: `builder for '${storePath(`${base}.drv`)}' failed with exit code 2`,
      };
    if (index % 997 === 7) return { ...seed, state: 'dependency-failed' };
    if (index % 59 === 3) return { ...seed, state: index % 3 === 0 ? 'queued' : 'blocked' };
    if (index % 311 === 9) return { ...seed, state: 'building' };
    return { ...seed, state: index % 4 === 0 ? 'succeeded' : 'cached' };
  });
}

const smallSet = (state: (name: string) => string): JobSeed[] =>
  [
    'checks.x86_64-linux.clippy',
    'checks.x86_64-linux.test',
    'checks.x86_64-linux.rustfmt',
    'packages.x86_64-linux.default',
    'packages.x86_64-linux.docs',
    'packages.aarch64-linux.default',
    'devShells.x86_64-linux.default',
  ].map((text) => ({
    path: text.split('.'),
    state: state(text),
    system: text.includes('aarch64') ? 'aarch64-linux' : 'x86_64-linux',
    seconds: 6 + text.length,
  }));

const oddJobs: readonly JobSeed[] = [
  { path: [], state: 'succeeded', name: 'root-job' },
  { path: ['checks', 'x86_64-linux', 'a.b "quoted" <b>'], state: 'succeeded' },
  { path: ['checks', 'x86_64-linux', 'grüße-世界-🎪'], state: 'succeeded' },
  { path: ['checks', '', 'empty-name-above'], state: 'cached' },
  { path: ['events'], state: 'cached' },
  { path: ['right\u202eto-left'], state: 'succeeded' },
  {
    path: [
      'nixosConfigurations',
      'the-machine-with-a-name-as-long-as-the-corridor-in-which-it-stands',
      'config',
      'system',
      'build',
      'toplevel',
    ],
    state: 'timed-out',
    seconds: 7200,
    message: 'timed out after 7200 seconds',
  },
  {
    path: ['checks', 'x86_64-linux', 'fixed-output'],
    state: 'output-mismatch',
    message:
      "hash mismatch in fixed-output derivation '/nix/store/…-source.drv':\n  specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n       got: sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
  },
  {
    path: ['checks', 'x86_64-linux', 'flaky'],
    state: 'failed',
    mark: 'may-fail',
    message: 'builder failed with exit code 1',
  },
  {
    path: ['checks', 'x86_64-linux', 'must-not-build'],
    state: 'failed',
    mark: 'must-fail',
    message: 'builder failed with exit code 1',
  },
  {
    path: ['checks', 'x86_64-linux', 'kvm-test'],
    state: 'unsupported-system',
    message: 'no builder has the features kvm, nixos-test',
  },
];

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
    { name: 'ampere', kind: 'agent', systems: ['aarch64-linux'], features: [], slots: 8, seen_at: ago(47) },
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
