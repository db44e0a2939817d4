/** Rows of a server's tables, with what a test does not care about filled in. */
import { createHash } from 'node:crypto';
import type { Knex } from 'knex';

export type Row = Record<string, unknown>;

/** A commit's hash, the same for the same words. */
export function seedSha(words: string): string {
  return createHash('sha1').update(words).digest('hex');
}

export function storePath(name: string): string {
  const digits = '0123456789abcdfghijklmnpqrsvwxyz';
  const bytes = createHash('sha256').update(name).digest();
  return `/nix/store/${Array.from({ length: 32 }, (_, index) => digits[(bytes[index] ?? 0) % 32]).join('')}-${name}`;
}

const minute = 60_000;
export const ago = (minutes: number) => new Date(Date.now() - minutes * minute);

/** Inserts one row and returns its id. */
export async function insert(db: Knex, table: string, row: Row): Promise<number> {
  const ids: { id: number }[] = await db(table).insert(row).returning('id');
  return ids[0]?.id ?? 0;
}

export async function addProject(
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

export async function addRevision(db: Knex, seed: RevisionSeed): Promise<number> {
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

export async function addEvaluation(
  db: Knex,
  revisionId: number,
  state: string,
  row: Row = {},
): Promise<number> {
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

export interface JobSeed {
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
export async function addJobs(
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

/** What a commit changed against its base: one attribute, whose source is another. */
export async function addChanges(
  db: Knex,
  { sha, baseSha }: { readonly sha: string; readonly baseSha: string },
): Promise<void> {
  const [id]: number[] = await db('evaluations')
    .join('revisions', 'revisions.id', 'evaluations.revision_id')
    .where({ sha })
    .pluck('evaluations.id');
  const cause = { kind: 'source', name: 'source', of: 'clippy' };
  const change = { path: ['checks', 'x86_64-linux', 'clippy'], kind: 'rebuilt', cause };
  await db('evaluation_changes').insert({
    evaluation_id: id,
    base_sha: baseSha,
    base_branch: 'main',
    counts: JSON.stringify({ added: 0, removed: 0, rebuilt: 1, broken: 0, repaired: 0, unchanged: 6 }),
    attributes: JSON.stringify([change]),
  });
}

export async function addTag(db: Knex, revisionId: string, name: string): Promise<void> {
  await db('revision_sources').insert({
    revision_id: revisionId,
    kind: 'tag',
    name,
    git_ref: `refs/tags/${name}`,
  });
}
